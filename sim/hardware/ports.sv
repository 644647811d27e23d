// A board's ports to one memory: each a slave of its own (memory.sv) with the rules watched
// (axi_rules.sv), all on the same contents and with `bytes_per_cycle` in common. In every cycle the
// ports whose bandwidth is not saved up to the full get equal shares of it.
//
// A port takes up to QUEUE bursts, as one of a Zynq UltraScale+ does (UG1085, "AXI Interface
// Programming").

module memory_ports #(
    parameter int PORTS = 1,
    parameter int BYTES = 16,
    parameter int BLOCK = 256,
    parameter int QUEUE = 16
) (
    input logic clk,
    input logic rst,

    input logic [15:0] latency,
    input logic [15:0] bytes_per_cycle,
    input logic [7:0] stall,
    input logic [31:0] seed,
    input logic [39:0] error_address,

    input logic [PORTS-1:0] arvalid,
    output logic [PORTS-1:0] arready,
    input logic [PORTS-1:0][39:0] araddr,
    input logic [PORTS-1:0][7:0] arlen,
    input logic [PORTS-1:0][2:0] arsize,
    input logic [PORTS-1:0][1:0] arburst,
    output logic [PORTS-1:0] rvalid,
    input logic [PORTS-1:0] rready,
    output logic [PORTS-1:0][8*BYTES-1:0] rdata,
    output logic [PORTS-1:0][1:0] rresp,
    output logic [PORTS-1:0] rlast,

    input logic [PORTS-1:0] awvalid,
    output logic [PORTS-1:0] awready,
    input logic [PORTS-1:0][39:0] awaddr,
    input logic [PORTS-1:0][7:0] awlen,
    input logic [PORTS-1:0][2:0] awsize,
    input logic [PORTS-1:0][1:0] awburst,
    input logic [PORTS-1:0] wvalid,
    output logic [PORTS-1:0] wready,
    input logic [PORTS-1:0][8*BYTES-1:0] wdata,
    input logic [PORTS-1:0][BYTES-1:0] wstrb,
    input logic [PORTS-1:0] wlast,
    output logic [PORTS-1:0] bvalid,
    input logic [PORTS-1:0] bready,
    output logic [PORTS-1:0][1:0] bresp
);
  logic [PORTS-1:0] hungry;
  logic [15:0] share;

  always_comb begin
    share = bytes_per_cycle;
    if ($countones(hungry) > 1) share = bytes_per_cycle / 16'($countones(hungry));
  end

  for (genvar n = 0; n < PORTS; n++) begin : g_port
    axi_memory #(
        .BYTES(BYTES),
        .QUEUE(QUEUE)
    ) memory (
        .clk,
        .rst,
        .latency,
        .bytes_per_cycle(hungry[n] ? share : 16'd0),
        .stall,
        .seed(seed ^ (32'(n) * 32'h9E3779B9)),
        .error_address,
        .arvalid(arvalid[n]),
        .arready(arready[n]),
        .araddr(araddr[n]),
        .arlen(arlen[n]),
        .rvalid(rvalid[n]),
        .rready(rready[n]),
        .rdata(rdata[n]),
        .rresp(rresp[n]),
        .rlast(rlast[n]),
        .awvalid(awvalid[n]),
        .awready(awready[n]),
        .awaddr(awaddr[n]),
        .awlen(awlen[n]),
        .wvalid(wvalid[n]),
        .wready(wready[n]),
        .wdata(wdata[n]),
        .wstrb(wstrb[n]),
        .wlast(wlast[n]),
        .bvalid(bvalid[n]),
        .bready(bready[n]),
        .bresp(bresp[n])
    );
    assign hungry[n] = memory.credit < 4 * memory.COST;

    axi_rules #(
        .BYTES(BYTES),
        .BLOCK(BLOCK),
        .NAME ($sformatf("port %0d", n))
    ) rules (
        .clk,
        .rst,
        .arvalid(arvalid[n]),
        .arready(arready[n]),
        .araddr(araddr[n]),
        .arlen(arlen[n]),
        .arsize(arsize[n]),
        .arburst(arburst[n]),
        .rvalid(rvalid[n]),
        .rready(rready[n]),
        .rdata(rdata[n]),
        .rresp(rresp[n]),
        .rlast(rlast[n]),
        .awvalid(awvalid[n]),
        .awready(awready[n]),
        .awaddr(awaddr[n]),
        .awlen(awlen[n]),
        .awsize(awsize[n]),
        .awburst(awburst[n]),
        .wvalid(wvalid[n]),
        .wready(wready[n]),
        .wdata(wdata[n]),
        .wstrb(wstrb[n]),
        .wlast(wlast[n]),
        .bvalid(bvalid[n]),
        .bready(bready[n]),
        .bresp(bresp[n])
    );
  end
endmodule
