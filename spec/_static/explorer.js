// SPDX-License-Identifier: MIT
// The explorer: the reader plays both sides.  What can come next, and what may be stored,
// is looked up in tables that the build makes from the model; this script draws them.
// A position is reached by a scene and the moves from there, one character each, and
// that is what the address keeps.
"use strict";

(() => {
  const E = window.vtpmExplorer;
  const root = document.querySelector(".explorer");
  if (!E || !root) return;

  // The positions, as the tables have them.

  E.at = (number) => {
    const [page, frontend, backend, between, nodes, ...may] = E.positions[number];
    return {
      page: E.pages[page],
      now: { frontend: E.steps[frontend], backend: E.steps[backend] },
      between: E.between[between],
      nodes: E.nodes[nodes],
      may: Object.fromEntries(E.roles.map((role, n) => [role, E.verdicts[may[n]]])),
    };
  };

  E.movesAt = (number) => {
    const row = E.next[number];
    return Array.from({ length: row.length / 2 }, (_, n) => {
      const [name, by] = E.moves[row[2 * n]];
      return { name, by, to: number + row[2 * n + 1] };
    });
  };

  const against = (clause) => (E.clauses[clause][2].startsWith("SHOULD") ? "discouraged" : "forbidden");

  // For each value of the state, then for the rest of the page: [what, verdict, why, clause].
  E.storesAt = (view, role) => {
    const [, offset] = E.fields.find(([name]) => name === "state");
    const old = E.states[parseInt(view.page.slice(2 * offset, 2 * offset + 2), 16)];
    const rest = ["illegal", E.rest[role], `${old}: the page is not the ${role}'s`];
    return [...view.may[role]].map((letter, n) => {
      const [kind, clause, why] = E.cells[role][old]?.[n] ?? rest;
      const what = E.states[n] ?? "the rest of the page";
      if (letter === "e") return [what, against(E.early), "the backend's state is not Connected", E.early];
      if (letter === "f") return [what, against(clause), kind === "race" ? `it has seen ${old}` : why, clause];
      if (letter === "r") return [what, "a race within the rules", why, ""];
      return [what, "allowed", letter === "u" ? "nobody else knows the page yet" : E.states[n] ? why : "", ""];
    });
  };

  // The way to where the reader is.

  const way = { scene: E.scenes[0], moves: [] };
  let trace = null;
  let step = 0;

  const follow = (moves) => moves.reduce((at, n) => E.movesAt(at)[n].to, way.scene[2]);

  const fromAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const scene = E.scenes.find(([name]) => name === asked.get("scene"));
    way.scene = scene ?? E.scenes[0];
    way.moves = [];
    leaveTrace();
    let text = `${way.scene[1]}.`;
    if (asked.has("scene") && !scene) text = "The link names a beginning that does not exist. " + text;
    const moves = [...(asked.get("moves") ?? "")].map((character) => parseInt(character, 36));
    if (moves.length && asked.get("of") !== E.of) {
      text = `The link was made for another version of the model; this is its beginning. ${text}`;
    } else {
      for (const n of moves) {
        if (!E.movesAt(follow(way.moves))[n]) {
          text = `The link names a move that does not exist; it was followed for ${way.moves.length}.`;
          break;
        }
        way.moves.push(n);
      }
      if (way.moves.length === moves.length && moves.length) text = `${moves.length} moves from the beginning.`;
    }
    drawModel(text, null);
  };

  const address = () => {
    const moves = way.moves.map((n) => n.toString(36)).join("");
    const parts = moves ? { scene: way.scene[0], moves, of: E.of } : { scene: way.scene[0] };
    return `#${new URLSearchParams(parts)}`;
  };

  // Drawing.

  const el = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const button = (text, act, properties = {}) =>
    el("button", { type: "button", textContent: text, onclick: act, ...properties });
  const clauseLink = (id) =>
    el("a", { href: E.clauses[id][0], title: E.clauses[id][1] }, el("code", { className: "literal" }, id));

  const scenes = el("select", { onchange: () => begin(scenes.value) });
  for (const [name, title] of E.scenes) scenes.append(new Option(title, name));
  const back = button("Step back", () => (trace ? show(step - 1) : undo()));
  const next = button("Next step", () => show(step + 1));
  const line = el("input", { type: "number", min: 2, onchange: () => showLine(Number(line.value)) });
  const lineLabel = el("label", {}, "line", line);
  const again = button("Start over", () => begin(way.scene[0]));
  const share = el("a", { textContent: "Link to this position" });
  const file = el("input", { type: "file", accept: ".jsonl", onchange: () => open(file.files[0]) });
  const bar = el("div", { className: "explorer-bar" }, el("label", {}, "begin with", scenes), back, next,
    lineLabel, again, el("label", {}, "open a trace", file), share);
  const said = el("p", { className: "explorer-said" });
  said.setAttribute("role", "status");
  const steps = el("ol", { className: "explorer-steps" });
  const page = el("dl", { className: "explorer-page" });
  const sides = el("div", { className: "explorer-sides" });
  const between = el("ul");
  const nodes = el("tbody");
  const heading = (text) => el("h2", { className: "page-heading", textContent: text });
  const head = (...names) =>
    el("thead", {}, el("tr", {}, ...names.map((text) => el("th", { scope: "col", textContent: text }))));
  const box = (...parts) => el("div", { className: "table-wrapper" }, el("table", { className: "docutils" }, ...parts));
  root.replaceChildren(bar, said, steps, heading("The page"), page, sides,
    heading("Between the two"), between, box(head("node below /local/domain/", "value"), nodes));

  const field = (changed, name, bytes, value) =>
    el("div", { className: changed ? "changed" : "" }, el("dt", { textContent: name }),
      el("dd", {}, el("code", { textContent: bytes })), el("dd", { textContent: value }));
  const row = (changed, ...cells) =>
    el("tr", { className: changed ? "changed" : "" }, ...cells.map((cell) => el("td", {}, cell)));

  const short = (path) => path.replace(/^\/local\/domain\//, "");

  const nodeText = ([path, text]) => (path.endsWith("/state") && E.xenbus[text] ? `${text} ${E.xenbus[text]}` : text);

  const fieldsOf = (hex) => {
    if (!hex) return [];
    const bytes = hex.match(/../g).map((pair) => parseInt(pair, 16));
    const spell = (some) => some.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const end = E.fields.at(-1)[1] + E.fields.at(-1)[2];
    return [
      ...E.fields.map(([name, from, size]) => {
        const some = bytes.slice(from, from + size);
        return [name, spell(some), name === "state" ? E.stateName(some[0]) : String(E.number(some))];
      }),
      [`from byte ${end} on`, spell(bytes.slice(end)), ""],
    ];
  };

  // Page, links and nodes; returns in words what is new in `view` since `old`.
  const drawGround = (view, old) => {
    const news = [];
    const before = old && new Map(fieldsOf(old.page).map(([name, bytes, value]) => [name, [bytes, value]]));
    page.replaceChildren(...fieldsOf(view.page).map(([name, bytes, value]) => {
      const changed = Boolean(before?.size) && before.get(name)[0] !== bytes;
      if (changed) news.push(value ? `${name}: ${before.get(name)[1]} → ${value}` : "the packet is new");
      return field(changed, name, bytes, value);
    }));
    if (!view.page) page.append(field(false, "there is no page yet", "", ""));
    const known = old && new Map(old.nodes);
    nodes.replaceChildren(...view.nodes.map(([path, text]) => {
      const changed = Boolean(old) && known.get(path) !== text;
      if (changed) news.push(`${short(path)} = ${nodeText([path, text])}`);
      return row(changed, el("code", { textContent: short(path) }), nodeText([path, text]));
    }));
    if (!view.nodes.length) nodes.append(row(false, "nothing is written yet", ""));
    const lines = view.between.length ? view.between : ["nothing"];
    between.replaceChildren(...lines.map((text) => el("li", { textContent: text })));
    if (old) news.push(...view.between.filter((text) => !old.between.includes(text)));
    return news;
  };

  const store = ([what, verdict, why, clause]) => {
    const item = el("li", { className: `store-${verdict.split(" ")[0]}` }, el("b", { textContent: what }), ` ${verdict}`);
    if (why) item.append(`: ${why}`);
    if (clause) item.append(" (", clauseLink(clause), ")");
    return item;
  };

  const side = (view, role, moves) => {
    const buttons = moves.filter(({ by }) => by === role).map(({ name, number }) =>
      el("li", {}, button(`${number + 1}  ${name.replace(`${role}: `, "")}`, () => take(number))));
    const none = buttons.length ? [] : [el("li", { textContent: "nothing; it waits" })];
    const absent = view.may[role][0] === "n";
    const stores = absent ? [el("li", { textContent: "nothing; it has no page" })]
      : E.storesAt(view, role).map(store);
    return el("section", { className: `explorer-${role}` }, heading(`The ${role}`),
      el("p", { textContent: `It is at: ${view.now[role]}.` }),
      el("p", {}, "What can come next"), el("ul", { className: "explorer-moves" }, ...buttons, ...none),
      el("p", {}, "What it may store: to ", el("code", { textContent: "state" }), " and elsewhere"),
      el("ul", { className: "explorer-stores" }, ...stores));
  };

  const drawModel = (text, old) => {
    const at = follow(way.moves);
    const view = E.at(at);
    const moves = E.movesAt(at).map((move, number) => ({ ...move, number }));
    const news = drawGround(view, old);
    for (const element of [next, lineLabel, steps]) element.hidden = true;
    for (const element of [sides, share]) element.hidden = false;
    sides.replaceChildren(...E.roles.map((role) => side(view, role, moves)));
    scenes.value = way.scene[0];
    back.disabled = !way.moves.length;
    share.href = address();
    said.textContent = [text, news.length ? ` ${news.join("; ")}.` : "", moves.length ? "" : " This is an end."].join("");
  };

  const moved = (text, old, focus) => {
    history.replaceState(null, "", address());
    drawModel(text, old);
    (sides.querySelector(`.explorer-${focus} button`) ?? sides.querySelector("button") ?? back).focus();
  };

  const take = (n) => {
    const at = follow(way.moves);
    const move = E.movesAt(at)[n];
    if (!move) return;
    way.moves.push(n);
    moved(`${move.name}.`, E.at(at), move.by);
  };

  const undo = () => {
    if (!way.moves.length) return;
    const at = follow(way.moves);
    way.moves.pop();
    moved("One step back.", E.at(at), "frontend");
  };

  const begin = (name) => {
    way.scene = E.scenes.find((scene) => scene[0] === name);
    way.moves = [];
    leaveTrace();
    history.replaceState(null, "", address());
    drawModel(`${way.scene[1]}.`, null);
  };

  // A recorded trace.

  const leaveTrace = () => {
    trace = null;
    file.value = "";
  };

  const open = async (chosen) => {
    if (!chosen) return;
    try {
      trace = E.readTrace(await chosen.arrayBuffer());
    } catch (error) {
      leaveTrace();
      drawModel(`${chosen.name} is refused: ${error.message}`, null);
      return;
    }
    show(0);
    next.focus();
  };

  const show = (n) => {
    const last = trace.steps.length - 1;
    const before = n > 0 ? E.traceAt(trace, n - 1) : null;
    step = Math.max(0, Math.min(last, n));
    const view = E.traceAt(trace, step);
    drawGround(view, before);
    for (const element of [next, lineLabel, steps]) element.hidden = false;
    for (const element of [sides, share]) element.hidden = true;
    const shown = trace.steps.slice(Math.max(0, step - 8), step + 3);
    steps.replaceChildren(...shown.map((one) => {
      const item = el("li", { value: one.line, textContent: one.text });
      if (one === trace.steps[step]) item.setAttribute("aria-current", "step");
      return item;
    }));
    back.disabled = step === 0;
    next.disabled = step === last;
    // A button that is disabled loses the keys.
    if (document.activeElement.disabled) (back.disabled ? next : back).focus();
    line.value = trace.steps[step].line;
    line.max = trace.steps[last].line;
    const cut = !trace.whole && step === last ? ". Here the trace was cut off" : "";
    said.textContent = `Line ${line.value}: ${trace.steps[step].text}${cut}.`;
    if (view.cell) sayCell(view.cell);
  };

  const sayCell = ([kind, clause, why]) => {
    const words = {
      legal: ` Allowed: ${why}.`,
      race: ` Within the rules only if it had not yet seen what it overwrote (${why}): `,
      illegal: ` Forbidden: ${why}: `,
    };
    said.append(words[kind], ...(kind === "legal" ? [] : [clauseLink(clause), "."]));
  };

  const showLine = (number) => {
    const found = trace.steps.findIndex((one) => one.line >= number);
    show(found < 0 ? trace.steps.length - 1 : found);
  };

  // Keys and files from elsewhere.

  const focusMove = (by) => {
    const all = [...sides.querySelectorAll("button")];
    const now = all.indexOf(document.activeElement);
    if (all.length) all[(now < 0 ? 0 : now + by + all.length) % all.length].focus();
  };

  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
    const keys = {
      ArrowLeft: () => (trace ? show(step - 1) : undo()),
      ArrowRight: () => (trace ? show(step + 1) : take(0)),
      ArrowUp: () => !trace && focusMove(-1),
      ArrowDown: () => !trace && focusMove(1),
      Home: () => (trace ? show(0) : begin(way.scene[0])),
      End: () => trace && show(trace.steps.length - 1),
    };
    const act = keys[event.key] ?? (/^[1-9]$/.test(event.key) && !trace ? () => take(Number(event.key) - 1) : null);
    if (!act || act() === false) return;
    event.preventDefault();
  });
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
})();
