# Synthesis and implementation of $design for $device, out of context.
# Run:  vivado -mode batch -source $design.tcl
create_project -in_memory -part $device
read_verilog $design.v
read_xdc $design.xdc
synth_design -top $design -part $device -mode out_of_context
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file ${design}_utilization.rpt
report_timing_summary -file ${design}_timing.rpt
report_power -file ${design}_power.rpt
write_checkpoint -force $design.dcp
