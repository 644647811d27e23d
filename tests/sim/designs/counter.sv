// A counter whose step is scaled by a DPI-C function: the smallest design that uses it all.
import "DPI-C" function int scaled(input int value);

module counter #(parameter int STEP = 1) (
    input  logic        clk,
    input  logic        rst,
    output logic [31:0] count
);
    logic [31:0] hidden;
    always_ff @(posedge clk) hidden <= rst ? 0 : hidden + scaled(STEP);
    assign count = hidden + 1;
endmodule
