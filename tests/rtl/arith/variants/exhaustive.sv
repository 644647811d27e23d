// All products of two 4-bit weights and two 6-bit activations, in all four sign modes, in the lower
// stage of a cascade of two; other operands of the same mode in the upper one. Both variants of the
// cascade against plain integers, sixteen of each side by side.

module exhaustive (
    input logic clk,
    output logic done,
    output int checked,
    output int wrong
);
  localparam int LANES = 16, LATENCY = 4;
  logic [18:0] step = 0;
  logic [LANES-1:0] equal;

  always_ff @(posedge clk) begin
    step <= step + 1;
    if (step >= LATENCY && !done) begin
      checked <= checked + LANES;
      wrong <= wrong + LANES - $countones(equal);
    end
    if (step == (1 << 18) + LATENCY - 1) done <= 1;
  end

  function automatic longint value(input logic [5:0] code, input int bits, input logic is_signed);
    longint raw;
    raw = longint'(code) & ((longint'(1) << bits) - 1);
    return is_signed && raw[bits-1] ? raw - (longint'(1) << bits) : raw;
  endfunction

  for (genvar lane = 0; lane < LANES; lane++) begin : g_lane
    wire [21:0] index = {step[17:0], 4'(lane)};
    wire [19:0] other = 20'(index[19:0] * 20'd741457 + 20'd12345);
    wire w_signed = index[20], a_signed = index[21];
    longint w0, w1, a0, a1, v0, v1, b0, b1;
    logic [43:0] expected[LATENCY+1], plain, ultrascale;
    logic is_signed;

    always_comb begin
      w0 = value(6'(index[3:0]), 4, w_signed);
      w1 = value(6'(index[7:4]), 4, w_signed);
      a0 = value(index[13:8], 6, a_signed);
      a1 = value(index[19:14], 6, a_signed);
      v0 = value(6'(other[3:0]), 4, w_signed);
      v1 = value(6'(other[7:4]), 4, w_signed);
      b0 = value(other[13:8], 6, a_signed);
      b1 = value(other[19:14], 6, a_signed);
      for (int row = 0; row < 2; row++)
        for (int token = 0; token < 2; token++)
          expected[0][11*(2*row+token)+:11] = 11'(
              (row == 0 ? w0 : w1) * (token == 0 ? a0 : a1)
              + (row == 0 ? v0 : v1) * (token == 0 ? b0 : b1)
              + (w_signed || a_signed ? 1024 : 0));
    end
    always_ff @(posedge clk) begin
      for (int k = 0; k < LATENCY; k++) expected[k+1] <= expected[k];
      is_signed <= w_signed | a_signed;
    end
    wire [35:0] activations = {18'(b0 + (b1 << 11)), 18'(a0 + (a1 << 11))};
    wire [53:0] weights = {27'(v0 + (v1 << 22)), 27'(w0 + (w1 << 22))};

    cascade_plain one (
        .clk, .rst(1'b0), .activations, .weights, .is_signed, .fields(plain)
    );
    cascade_ultrascale two (
        .clk, .rst(1'b0), .activations, .weights, .is_signed, .fields(ultrascale)
    );
    assign equal[lane] = plain == expected[LATENCY] && ultrascale == expected[LATENCY];
  end
endmodule
