// Rules of AXI4 for one port, watched in every cycle; the first breach ends the simulation.
//
// A valid stays, with its payload, until it is accepted. Bursts are INCR, of whole and aligned
// beats, at most BURST of them, and inside of a block of BLOCK bytes, hence of 4 KB. Data have
// their `last` in its place, and every answer a burst that waits for it.

module axi_rules #(
    parameter int BYTES = 16,
    parameter int BURST = 16,
    parameter int BLOCK = 256,
    parameter string NAME = ""
) (
    input logic clk,
    input logic rst,

    input logic arvalid,
    input logic arready,
    input logic [39:0] araddr,
    input logic [7:0] arlen,
    input logic [2:0] arsize,
    input logic [1:0] arburst,
    input logic rvalid,
    input logic rready,
    input logic [8*BYTES-1:0] rdata,
    input logic [1:0] rresp,
    input logic rlast,

    input logic awvalid,
    input logic awready,
    input logic [39:0] awaddr,
    input logic [7:0] awlen,
    input logic [2:0] awsize,
    input logic [1:0] awburst,
    input logic wvalid,
    input logic wready,
    input logic [8*BYTES-1:0] wdata,
    input logic [BYTES-1:0] wstrb,
    input logic wlast,
    input logic bvalid,
    input logic bready,
    input logic [1:0] bresp
);
  localparam int CHANNELS = 5, BITS = 9 * BYTES + 64;

  function automatic void rule(input logic kept, input string what);
    if (!kept) $fatal(1, "AXI rule broken on %s: %s", NAME, what);
  endfunction

  function automatic void check_burst(
      input logic [39:0] address, input logic [7:0] length, input logic [2:0] size,
      input logic [1:0] burst
  );
    automatic int bytes = (32'(length) + 1) * BYTES;
    rule(burst == 2'b01, "a burst is not INCR");
    rule(32'(1) << size == BYTES, "beats are not as wide as the port");
    rule(address % 40'(BYTES) == 0, "a burst is not aligned");
    rule(32'(length) < BURST, "a burst is too long");
    rule(32'(address % 40'(BLOCK)) + bytes <= BLOCK, "a burst crosses the end of its block");
  endfunction

  // Valid and payload of each channel, and whether it has to stay.
  string names[CHANNELS] = '{"AR", "R", "AW", "W", "B"};
  logic [BITS-1:0] now[CHANNELS], earlier[CHANNELS];
  logic [CHANNELS-1:0] valid, ready, waits;
  always_comb begin
    valid = {bvalid, wvalid, awvalid, rvalid, arvalid};
    ready = {bready, wready, awready, rready, arready};
    now[0] = BITS'({araddr, arlen, arsize, arburst});
    now[1] = BITS'({rdata, rresp, rlast});
    now[2] = BITS'({awaddr, awlen, awsize, awburst});
    now[3] = BITS'({wdata, wstrb, wlast});
    now[4] = BITS'(bresp);
  end

  // verilator lint_off BLKSEQ
  // What follows is a checker's own book-keeping: nobody else reads it.
  int reads[$], writes[$], data[$];  // beats of bursts: asked for, announced, given
  int read, written, unanswered;  // beats of the burst under way; complete bursts

  always_ff @(posedge clk) begin
    for (int channel = 0; channel < CHANNELS; channel++) begin
      rule(!waits[channel] || (valid[channel] && now[channel] == earlier[channel]), {
           names[channel], " changed before it was accepted"});
      earlier[channel] <= now[channel];
      waits[channel] <= valid[channel] && !ready[channel] && !rst;
    end
    if (arvalid) check_burst(araddr, arlen, arsize, arburst);
    if (awvalid) check_burst(awaddr, awlen, awsize, awburst);
    if (rvalid && rready) begin
      rule(reads.size() > 0, "data that nobody asked for");
      rule(rlast == (read + 1 == reads[0]), "RLAST out of place");
      read = rlast ? 0 : read + 1;
      if (rlast) void'(reads.pop_front());
    end
    if (arvalid && arready) reads.push_back(32'(arlen) + 1);
    if (bvalid && bready) begin
      rule(unanswered > 0, "an answer that nobody waits for");
      unanswered = unanswered - 1;
    end
    if (awvalid && awready) writes.push_back(32'(awlen) + 1);
    if (wvalid && wready) begin
      written = written + 1;
      if (wlast) begin
        data.push_back(written);
        written = 0;
      end
    end
    if (writes.size() > 0 && data.size() > 0) begin
      rule(writes[0] == data[0], "WLAST out of place");
      void'(writes.pop_front());
      void'(data.pop_front());
      unanswered = unanswered + 1;
    end
    if (rst) begin
      reads.delete();
      writes.delete();
      data.delete();
      {read, written, unanswered} = 0;
    end
  end
  // verilator lint_on BLKSEQ
endmodule
