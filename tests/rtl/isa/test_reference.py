"""The generated references are those of the tables in the code."""

from rtl.isa import reference


def test_isa_reference_is_up_to_date():
    assert (reference.DOCS / "isa.md").read_text(encoding="utf-8") == reference.isa_reference()


def test_the_host_driver_has_the_same_registers():
    assert reference.HOST.read_text(encoding="utf-8") == reference.host_registers()
