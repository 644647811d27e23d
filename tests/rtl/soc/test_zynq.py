# amaranth: UnusedElaboratable=no
"""The top of a Zynq: names and attributes, as AMD's rules for module references want them."""

from rtl.config import TINY, ZCU102
from rtl.soc.pieces import MemoryPorts
from rtl.soc.zynq import ZynqTop

AXI4_REQUIRED = {  # of a manager, by IHI 0022, tables A10-1 and A10-2
    "awaddr", "awvalid", "awready", "wdata", "wlast", "wvalid", "wready", "bvalid", "bready",
    "araddr", "arvalid", "arready", "rdata", "rlast", "rvalid", "rready",
}  # fmt: skip
AXI4_OPTIONAL = {
    "awlen", "awsize", "awburst", "awcache", "awprot", "wstrb", "bresp",
    "arlen", "arsize", "arburst", "arcache", "arprot", "rresp",
}  # fmt: skip


def ports_of(top, bus):
    return {name.removeprefix(f"{bus}_") for name in top.attributes() if name.startswith(bus)}


def parameters_of(top, port):
    text = top.attributes()[port]["X_INTERFACE_PARAMETER"]
    return dict(pair.split(" ") for pair in text.split(", "))


def test_every_port_has_attributes():
    top = ZynqTop(TINY, "tiny")
    assert set(top.attributes()) == set(top.signature.members)


def test_signals_of_the_port_to_memory():
    assert ports_of(ZynqTop(TINY, "tiny"), "m_axi_memory") == AXI4_REQUIRED | AXI4_OPTIONAL


def test_attributes_name_bus_and_signal():
    attributes = ZynqTop(TINY, "tiny").attributes()
    aximm = "xilinx.com:interface:aximm:1.0"
    assert attributes["m_axi_memory_awlen"]["X_INTERFACE_INFO"] == f"{aximm} m_axi_memory AWLEN"
    assert attributes["s_axi_control_rdata"]["X_INTERFACE_INFO"] == f"{aximm} s_axi_control RDATA"
    assert attributes["aresetn"]["X_INTERFACE_INFO"] == "xilinx.com:signal:reset:1.0 aresetn RST"


def test_the_clock_is_that_of_the_buses():
    top = ZynqTop(ZCU102, "zcu102")
    assert parameters_of(top, "aclk") == {
        "XIL_INTERFACENAME": "aclk",
        "ASSOCIATED_BUSIF": "s_axi_control:m_axi_memory",
        "ASSOCIATED_RESET": "aresetn",
    }
    assert parameters_of(top, "aresetn")["POLARITY"] == "ACTIVE_LOW"
    assert parameters_of(top, "interrupt")["SENSITIVITY"] == "LEVEL_HIGH"


def test_sizes_of_the_buses():
    top = ZynqTop(ZCU102, "zcu102")
    control = parameters_of(top, "s_axi_control_awaddr")
    assert (control["PROTOCOL"], control["DATA_WIDTH"]) == ("AXI4LITE", "32")
    assert control["ADDR_WIDTH"] == str(len(top.s_axi_control_awaddr))
    memory = parameters_of(top, "m_axi_memory_araddr")
    assert (memory["PROTOCOL"], memory["MAX_BURST_LENGTH"]) == ("AXI4", "16")
    assert memory["DATA_WIDTH"] == str(len(top.m_axi_memory_rdata)) == "512"


def test_several_ports_share_the_reads():
    top = ZynqTop(ZCU102, "zcu102", MemoryPorts(3, 16))
    buses = ["m_axi_memory_0", "m_axi_memory_1", "m_axi_memory_2"]
    assert parameters_of(top, "aclk")["ASSOCIATED_BUSIF"] == ":".join(["s_axi_control", *buses])
    assert ports_of(top, buses[0]) == AXI4_REQUIRED | AXI4_OPTIONAL
    for bus in buses[1:]:
        assert ports_of(top, bus) == {
            name for name in AXI4_REQUIRED | AXI4_OPTIONAL if name[:2] == "ar" or name[0] == "r"
        }
    memories = [parameters_of(top, f"{bus}_araddr") for bus in buses]
    assert [m["READ_WRITE_MODE"] for m in memories] == ["READ_WRITE", "READ_ONLY", "READ_ONLY"]
    assert {m["DATA_WIDTH"] for m in memories} == {"128"}
    assert {m["MAX_BURST_LENGTH"] for m in memories} == {"16"}
    assert set(top.attributes()) == set(top.signature.members)


def test_one_port_behind_an_interleaver_has_the_plain_name():
    top = ZynqTop(ZCU102, "zcu102", MemoryPorts(1, 32))
    sizes = parameters_of(top, "m_axi_memory_araddr")
    assert (sizes["DATA_WIDTH"], sizes["MAX_BURST_LENGTH"]) == ("256", "8")
