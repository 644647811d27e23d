# Synthesis and implementation of $design for $device, out of context.
# Run:  vivado -mode batch -source $design.tcl
# Reads and writes files beside this one, wherever it is run from.
set here [file dirname [file normalize [info script]]]
create_project -in_memory -part $device
read_verilog [file join $$here $design.v]
read_xdc [file join $$here $design.xdc]
# Copies of registers are made on purpose: each drives what lies near it.
synth_design -top $design -part $device -mode out_of_context -keep_equivalent_registers
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file [file join $$here ${design}_utilization.rpt]
report_timing_summary -file [file join $$here ${design}_timing.rpt]
report_power -file [file join $$here ${design}_power.rpt]
write_checkpoint -force [file join $$here $design.dcp]
