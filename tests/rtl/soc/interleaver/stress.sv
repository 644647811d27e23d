// An interleaver between random traffic and memory, pattern after pattern: each with stalls,
// latency, bandwidth and errors of its own. Every beat that comes back is compared.
//
// Below WRITTEN, memory holds content(address); above, what was written, of which `shadow` is a copy.

module stress #(
    parameter int BYTES = 64,
    parameter int PORTS = 2,
    parameter int PORT_BYTES = 32,
    parameter int BLOCK = 256
) (
    input logic clk,
    input logic rst,
    input logic [31:0] patterns,
    output logic done,
    output int pattern,
    output int checked,
    output int answered,
    output int errors,
    output int wrong
);
  localparam int BURST = 16, SPAN = BURST * BYTES, WRITTEN = 32 * SPAN, SIZE = 48 * SPAN;
  localparam int READS = 20, WRITES = 6;

  typedef struct packed {
    logic [39:0] address;
    logic [7:0]  length;
  } burst_t;

  // Randomness: a word for each use, new in every cycle.
  localparam int WORDS = 6;
  logic [63:0] noise[WORDS];
  function automatic logic [63:0] next(input logic [63:0] x);
    logic [63:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 7);
    return y ^ (y << 17);
  endfunction
  always_ff @(posedge clk)
    for (int n = 0; n < WORDS; n++)
      noise[n] <= rst ? 64'h9E3779B97F4A7C15 * (64'(n) + 1) : next(noise[n]);

  function automatic burst_t any_burst(input logic [63:0] random, input int first, input int last);
    automatic int length = int'(random[3:0]);
    automatic int place = int'(random[11:4]) % (BURST - length);
    automatic int block = first / SPAN + int'(random[31:16]) % ((last - first) / SPAN);
    return '{40'(block * SPAN + place * BYTES), 8'(length)};
  endfunction

  function automatic logic [31:0] content(input logic [39:0] address);
    return 32'(address >> 2) * 32'd2654435769 ^ 32'(address >> 7);
  endfunction

  // The pattern.
  logic [15:0] latency, bytes_per_cycle;
  logic [7:0] stall, hold;
  logic [39:0] error_address;
  enum {SETTLE, MIXED, AGAIN, REST} phase;
  int rest;

  // The engine's side.
  logic arvalid, arready, rvalid, rready, rlast, awvalid, awready, wvalid, wready, wlast;
  logic bvalid, bready;
  burst_t ar, aw;
  logic [8*BYTES-1:0] rdata, wdata;
  logic [BYTES-1:0] wstrb;
  logic [1:0] rresp, bresp;

  logic [7:0] shadow[SIZE - WRITTEN];
  burst_t asked[$], announced[$], unanswered[$];
  int to_ask, to_announce, beat, sent;

  function automatic logic is_bad(input logic [39:0] address, input int bytes);
    return error_address >= address && error_address < address + 40'(bytes);
  endfunction

  function automatic logic [8*BYTES-1:0] expected(input logic [39:0] address);
    for (int n = 0; n < BYTES / 4; n++)
      expected[32*n+:32] = content(address + 40'(4 * n));
    if (address >= WRITTEN)
      for (int n = 0; n < BYTES; n++)
        expected[8*n+:8] = shadow[int'(address)-WRITTEN+n];
  endfunction

  function automatic void differs(input string what);
    wrong <= wrong + 1;
    if (wrong < 5) $display("pattern %0d: %s", pattern, what);
  endfunction

  always_ff @(posedge clk) begin
    automatic logic [39:0] at;
    rready <= noise[0][7:0] >= hold;
    bready <= noise[0][15:8] >= hold;
    // Reads.
    if (arready) arvalid <= 0;
    if ((arready || !arvalid) && to_ask > 0 && noise[1][7:0] >= hold) begin
      automatic burst_t burst = phase == MIXED ? any_burst(noise[2], 0, WRITTEN)
          : any_burst(noise[2], WRITTEN, SIZE);
      ar <= burst;
      arvalid <= 1;
      to_ask <= to_ask - 1;
      asked.push_back(burst);
    end
    if (rvalid && rready) begin
      if (asked.size() == 0) differs("data that nobody asked for");
      else begin
        at = asked[0].address + 40'(beat * BYTES);
        if (rdata != expected(at)) differs($sformatf("other data at 0x%0h", at));
        if (rresp[1] != is_bad(at, BYTES)) differs($sformatf("other RRESP at 0x%0h", at));
        if (rlast != (8'(beat) == asked[0].length)) differs($sformatf("RLAST at 0x%0h", at));
        checked <= checked + 1;
        errors <= errors + 32'(rresp[1]);
        beat = rlast ? 0 : beat + 1;
        if (rlast) void'(asked.pop_front());
      end
    end
    // Writes: addresses, data, answers.
    if (awready) awvalid <= 0;
    if ((awready || !awvalid) && to_announce > 0 && noise[1][15:8] >= hold) begin
      automatic burst_t burst = any_burst(noise[3], WRITTEN, SIZE);
      aw <= burst;
      awvalid <= 1;
      to_announce <= to_announce - 1;
      announced.push_back(burst);
      unanswered.push_back(burst);
    end
    if (wready) wvalid <= 0;
    if ((wready || !wvalid) && announced.size() > 0 && noise[1][23:16] >= hold) begin
      automatic logic [8*BYTES-1:0] word;
      automatic logic [BYTES-1:0] strobe;
      for (int n = 0; n < BYTES; n++) word[8*n+:8] = noise[4][(7*n)%57+:8] ^ 8'(n);
      strobe = noise[5][0] ? '1 : BYTES'({noise[5], noise[4]});
      at = announced[0].address + 40'(sent * BYTES);
      for (int n = 0; n < BYTES; n++)
        if (strobe[n] && !is_bad((at + 40'(n)) & ~40'(PORT_BYTES - 1), PORT_BYTES))
          shadow[int'(at)-WRITTEN+n] = word[8*n+:8];
      wdata <= word;
      wstrb <= strobe;
      wlast <= 8'(sent) == announced[0].length;
      wvalid <= 1;
      sent = sent + 1;
      if (8'(sent) > announced[0].length) begin
        sent = 0;
        void'(announced.pop_front());
      end
    end
    if (bvalid && bready) begin
      if (unanswered.size() == 0) differs("an answer that nobody waits for");
      else begin
        at = unanswered[0].address;
        if (bresp[1] != is_bad(at, (32'(unanswered[0].length) + 1) * BYTES))
          differs($sformatf("other BRESP at 0x%0h", at));
        answered <= answered + 1;
        errors <= errors + 32'(bresp[1]);
        void'(unanswered.pop_front());
      end
    end
    // One pattern behind the other.
    case (phase)
      SETTLE: begin
        pattern <= pattern + 1;
        latency <= 16'(1) + 16'(noise[5][13:8]);
        stall <= noise[5][16] ? 0 : noise[5][24:17] % 200;
        hold <= noise[5][25] ? 0 : noise[5][33:26] % 200;
        bytes_per_cycle <= 16'(256) * (16'(PORT_BYTES) / 4 + 16'(noise[5][39:34]));
        error_address <= noise[5][40] ? '1 : 40'(noise[5][63:41]) % 40'(SIZE);
        to_ask <= READS;
        to_announce <= WRITES;
        phase <= MIXED;
      end
      MIXED, AGAIN:
      if (!to_ask && !to_announce && !asked.size() && !unanswered.size()) begin
        phase <= phase == MIXED ? AGAIN : REST;
        to_ask <= phase == MIXED ? READS / 2 : 0;
        rest <= 0;
      end
      REST: begin
        rest <= rest + 1;
        if (rvalid || bvalid) differs("something is left");
        if (rest == 8) begin
          if (pattern == patterns) done <= 1;
          else phase <= SETTLE;
        end
      end
    endcase
    if (rst) begin
      {arvalid, awvalid, wvalid, rready, bready, done} <= 0;
      {pattern, checked, answered, errors, wrong} <= 0;
      {to_ask, to_announce} <= 0;
      beat = 0;
      sent = 0;
      phase <= SETTLE;
      for (int n = 0; n < SIZE - WRITTEN; n++)
        shadow[n] = 8'(content(40'(WRITTEN + n)) >> 8 * (n % 4));
    end
  end

  axi_rules #(
      .BYTES(BYTES),
      .BLOCK(SPAN),
      .NAME ("the engine's side")
  ) rules (
      .clk,
      .rst,
      .arvalid,
      .arready,
      .araddr(ar.address),
      .arlen(ar.length),
      .arsize(3'($clog2(BYTES))),
      .arburst(2'b01),
      .rvalid,
      .rready,
      .rdata,
      .rresp,
      .rlast,
      .awvalid,
      .awready,
      .awaddr(aw.address),
      .awlen(aw.length),
      .awsize(3'($clog2(BYTES))),
      .awburst(2'b01),
      .wvalid,
      .wready,
      .wdata,
      .wstrb,
      .wlast,
      .bvalid,
      .bready,
      .bresp
  );

  board board (
      .clk,
      .rst,
      .latency,
      .bytes_per_cycle,
      .stall,
      .seed(32'(pattern)),
      .error_address,
      .arvalid,
      .arready,
      .araddr(ar.address),
      .arlen(ar.length),
      .rvalid,
      .rready,
      .rdata,
      .rresp,
      .rlast,
      .awvalid,
      .awready,
      .awaddr(aw.address),
      .awlen(aw.length),
      .wvalid,
      .wready,
      .wdata,
      .wstrb,
      .wlast,
      .bvalid,
      .bready,
      .bresp
  );
  memory_files files ();
endmodule
