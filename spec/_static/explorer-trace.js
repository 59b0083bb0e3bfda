// SPDX-License-Identifier: MIT
// Reads a trace of the judge: checks it as the judge does, puts each line into words, and
// says what page, nodes and links looked like after it.  It draws nothing.
"use strict";

(() => {
  const E = window.vtpmExplorer;
  const PAGE = 4096;

  const toBytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  E.number = (bytes) => bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  E.stateName = (value) => E.states[value] ?? String(value);
  const stateField = E.fields.find(([name]) => name === "state");

  // What a step says, in the words of the judge's report.

  const bytesInWords = ({ at, data }) => {
    const bytes = toBytes(data);
    const field = E.fields.find(([, offset, size]) => offset === at && size === bytes.length);
    if (field) {
      const value = E.number(bytes);
      return `${field[0]} ${field === stateField ? E.stateName(value) : value}`;
    }
    const [last, offset, size] = E.fields.at(-1);
    if (at === 0 && bytes.length === offset + size) {
      const value = (name) => {
        const [, from, long] = E.fields.find((f) => f[0] === name);
        return E.number(bytes.slice(from, from + long));
      };
      const extra = value(last) ? `, ${last} ${value(last)}` : "";
      return `the header: length ${value("length")}, state ${E.stateName(value("state"))}${extra}`;
    }
    return span(at, bytes);
  };

  const span = (at, bytes) => {
    const shown = [...bytes.slice(0, 12)].map((byte) => toHex([byte])).join(" ");
    return `${bytes.length} bytes at ${at}: ${shown}${bytes.length > 12 ? " ..." : ""}`;
  };

  const refused = (e) => (e.ok === false ? `: refused${e.why ? `, ${e.why}` : ""}` : "");
  const long = (e, lead) => (e.packet ? `${lead}${e.packet.length / 2} bytes` : "");

  const nodeInWords = (e) => {
    if (e.op === "start") return `${e.by} starts transaction ${e.tx}`;
    if (e.op === "end") return `${e.by} ${e.ok === false ? "drops" : "commits"} transaction ${e.tx}`;
    const verb = { read: "reads", write: "writes", rm: "removes", watch: "watches" }[e.op];
    const value = e.value == null ? "" : ` = ${e.value}`;
    const inside = e.tx ? ` (transaction ${e.tx})` : "";
    const failed = e.ok === false && e.op !== "read" ? " (refused)" : "";
    return `${e.by} ${verb} ${e.path.replace(/^\/local\/domain\//, "")}${value}${inside}${failed}`;
  };

  const WORDS = {
    load: (e) => `${e.by} loads ${bytesInWords(e)}`,
    store: (e) => `${e.by} stores ${bytesInWords(e)}`,
    sample: (e) =>
      `the judge looks at the page: ${e.data ? `new is ${span(e.at, toBytes(e.data))}` : "nothing is new"}`,
    notify: (e) => `${e.by} notifies${e.count > 1 ? `, ${e.count} times` : ""}`,
    connection: (e) => `a further frontend, in domain ${e.frontend}`,
    grant: (e) =>
      `${e.by} ${e.on === false ? "revokes" : "grants"} page ${e.gref}${e.ok === false ? ": refused, it is mapped" : ""}`,
    map: (e) => `${e.by} ${e.on === false ? "unmaps" : "maps"} page ${e.gref}${refused(e)}`,
    bind: (e) =>
      e.on === false
        ? `${e.by} closes port ${e.port}${refused(e)}`
        : `${e.by} binds${e.remote == null ? "" : ` to port ${e.remote}`}${refused(e)}`,
    node: nodeInWords,
    order: (e) => `order ${e.id}: ${e.do}${long(e, " ")}`,
    result: (e) => `order ${e.id} ends: ${e.outcome}${long(e, " of ")}${e.why ? ` (${e.why})` : ""}`,
    phase: (e) => `-- ${e.name}${e.note ? `: ${e.note}` : ""}`,
    silence: (e) =>
      `the judge waits for ${e.awaited}: ${e.certain ? "nothing can come" : `not within ${e.seconds} s`}`,
    console: (e) => `stderr: ${e.text}`,
    exit: (e) => `the target ends: ${e.how}`,
    trouble: (e) => `trouble with the adapter: ${e.what}`,
    target: (e) => `the target is ready, TPM ${e.tpm}`,
  };

  // Reading: each line carries a checksum of itself and of all lines before it.

  const SEAL = ',"crc":"00000000"}'.length;

  const crc32 = (bytes, crc) => {
    let c = ~crc;
    for (const byte of bytes) {
      c ^= byte;
      for (let bit = 0; bit < 8; bit += 1) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c >>> 0;
  };

  // Whole lines: what a run that was cut off has not finished is left out.
  const linesOf = (bytes) => {
    let end = bytes.length;
    while (end && bytes[end - 1] === 0) end -= 1; // space that a killed run had reserved
    const lines = [];
    for (let start = 0, stop; (stop = bytes.indexOf(10, start)) >= 0 && stop < end; start = stop + 1) {
      lines.push(bytes.subarray(start, stop));
    }
    return lines;
  };

  const parse = (raw, line) => {
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
    } catch {
      throw new Error(line === 1 ? "line 1: this is no trace: its first line is not a header"
        : `line ${line}: not an event of the format`);
    }
  };

  // Of the whole file; an Error says which line is bad, and how.
  E.readTrace = (buffer) => {
    const lines = linesOf(new Uint8Array(buffer));
    const first = parse(lines[0] ?? new Uint8Array(), 1);
    if (first?.e !== "header") throw new Error("line 1: this is no trace: its first line is not a header");
    if (first.format !== E.format) {
      throw new Error(`line 1: format ${first.format}; this page reads format ${E.format}`);
    }
    const steps = [];
    let crc = 0;
    let whole = false;
    lines.forEach((raw, index) => {
      const line = index + 1;
      if (whole) throw new Error(`line ${line}: there is something after the footer`);
      const event = parse(raw, line);
      crc = crc32(raw.subarray(0, -SEAL), crc);
      if (event.crc !== crc.toString(16).padStart(8, "0")) {
        throw new Error(`line ${line}: altered: its checksum does not match it and the lines before`);
      }
      if (index === 0) return;
      whole = event.e === "footer";
      if (whole && event.events !== steps.length) {
        throw new Error(`line ${line}: the footer counts ${event.events} events, there are ${steps.length}`);
      }
      if (whole) return;
      if (!WORDS[event.e]) throw new Error(`line ${line}: not an event of the format`);
      steps.push({ line, event, text: WORDS[event.e](event) });
    });
    if (!steps.length) throw new Error("line 1: there is nothing after the header");
    return { header: first, steps, whole };
  };

  // What was known after a step.

  const access = (world, e) => world.page(e.c).set(toBytes(e.data), e.at);
  const link = (key, words) => (world, e) => {
    if (e.ok === false) return;
    if (e.on === false) world.links.delete(key(e));
    else world.links.set(key(e), words(e));
  };
  const granted = link((e) => `page ${e.gref} ${e.c ?? 0}`, (e) => `page ${e.gref}: granted by the ${e.by}`);

  const EFFECTS = {
    load: access,
    store: access,
    sample: access,
    grant: (world, e) => {
      if (e.ok !== false && e.on !== false) world.page(e.c).fill(0);
      granted(world, e);
    },
    map: link((e) => `map ${e.gref} ${e.c ?? 0}`, (e) => `page ${e.gref}: mapped by the ${e.by}`),
    bind: link((e) => `port ${e.by} ${e.port}`, (e) => `port ${e.port}: open, of the ${e.by}`),
    notify: (world, e) => {
      world.notified[e.by] = (world.notified[e.by] ?? 0) + e.count;
      world.links.set(`events ${e.by}`, `the ${e.by} has notified ${world.notified[e.by]} times`);
    },
    node: (world, e) => {
      if (e.ok === false || e.op === "watch") return;
      const waiting = world.transactions.get(`${e.by} ${e.tx}`);
      if (e.op === "start") world.transactions.set(`${e.by} ${e.tx}`, []);
      else if (e.op === "end") for (const write of waiting ?? []) EFFECTS.node(world, { ...write, tx: 0 });
      else if (waiting && e.tx && e.op !== "read") waiting.push(e);
      else if (e.op === "rm") {
        for (const path of world.nodes.keys()) {
          if (`${path}/`.startsWith(`${e.path}/`)) world.nodes.delete(path);
        }
      }
      else if (e.value != null) world.nodes.set(e.path, e.value);
    },
  };

  // What the transition table says of a store to the state alone.
  const judged = (world, e) => {
    const [, offset, size] = stateField;
    if (e.e !== "store" || e.at !== offset || e.data.length !== 2 * size) return null;
    const old = E.states[world.page(e.c)[offset]];
    return E.cells[e.by][old]?.[parseInt(e.data, 16)] ?? null;
  };

  // The position after step number `last`, in the form that the page draws.
  E.traceAt = (trace, last) => {
    const pages = new Map();
    const page = (c = 0) => {
      if (!pages.has(c)) pages.set(c, new Uint8Array(PAGE));
      return pages.get(c);
    };
    const world = { page, links: new Map(), nodes: new Map(), notified: {}, transactions: new Map() };
    let cell = null;
    for (const { event } of trace.steps.slice(0, last + 1)) {
      cell = judged(world, event);
      EFFECTS[event.e]?.(world, event);
    }
    const shown = page(trace.steps[last].event.c).slice(0, 32);
    return {
      page: toHex(shown),
      between: [...world.links.values()],
      nodes: [...world.nodes].sort(([a], [b]) => (a < b ? -1 : 1)),
      cell,
    };
  };
})();
