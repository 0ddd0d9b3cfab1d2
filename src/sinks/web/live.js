// The live part of the dashboard: receives sections, and sends control commands.
(() => {
  const banner = document.querySelector(".banner");
  const form = document.querySelector("form.controls");
  const answer = form.querySelector(".answer");
  const workload = form.querySelector("#workload");
  // A token in the fragment moves into memory: no history, no link keeps it.
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname);
  const NO_TOKEN = "no controls: this page has no token; open the URL that the run printed";
  const NO_CONTROL = "no controls: the run was started with --no-control";
  const waiting = new Map();
  let over = false;

  const say = (text, kind) => {
    banner.textContent = text;
    banner.className = "banner" + (kind ? " " + kind : "");
  };

  const selected = (section) => {
    const selection = getSelection();
    return !selection.isCollapsed && section.contains(selection.anchorNode);
  };

  const swap = (section, html) => {
    const inner = section.querySelector(".inner");
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const open = new Set([...inner.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const scrolls = [...inner.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    parsed.querySelectorAll("details").forEach((one) => { one.open = open.has(one.dataset.key); });
    inner.replaceChildren(...parsed.body.childNodes);
    inner.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolls[at] || 0; });
    const empty = html === "";
    section.hidden = empty;
    const link = document.querySelector('nav a[href="#' + section.id + '"]');
    if (link) link.hidden = empty;
    page.enliven(inner);
  };

  const fill = () => {
    if (page.busy()) return;
    for (const [id, html] of waiting) {
      const section = document.getElementById(id);
      // A section with a selection stays until the selection ends.
      if (!section || (selected(section) && !over)) continue;
      swap(section, html);
      waiting.delete(id);
    }
  };

  const names = (workloads) => {
    if (workload.options.length === workloads.length + 1) return;
    workload.replaceChildren(new Option("all", ""), ...workloads.map((name) => new Option(name, name)));
  };

  const take = (frame) => {
    document.title = frame.title + " · manada";
    document.querySelector(".brand").textContent = frame.title;
    for (const [id, html] of Object.entries(frame.parts)) waiting.set(id, html);
    names(frame.workloads);
    over = frame.over;
    fill();
    if (over) {
      say("The run is over. These are its final numbers; the server of this page has ended.", "good");
      form.hidden = true;
    } else {
      const note = frame.notes.at(-1);
      const why = given ? "" : frame.controls ? NO_TOKEN : NO_CONTROL;
      say(["Live", note, why].filter(Boolean).join(" · "));
    }
  };

  const listen = () => {
    const events = new EventSource("/events");
    events.onmessage = (event) => {
      take(JSON.parse(event.data));
      if (over) events.close();
    };
    events.onerror = () => {
      if (over) return;
      say("Connection lost, reconnecting. These are the last numbers received.", "warn");
      // A refusal ends it for good; the next one may be let in.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    };
  };

  const reply = (text, bad) => {
    answer.textContent = text;
    answer.className = "answer" + (bad ? " bad" : "");
  };
  const ask = async (command) => {
    try {
      const response = await fetch("/control", {
        method: "POST",
        headers: { "Authorization": "Bearer " + given, "Content-Type": "text/plain" },
        body: command,
      });
      const { ok, error } = await response.json();
      reply(error || (typeof ok === "string" ? ok : JSON.stringify(ok, null, 1)), Boolean(error));
    } catch {
      reply("No reply from the run.", true);
    }
  };

  if (given) {
    form.hidden = false;
    form.querySelectorAll("button[data-command]").forEach((button) => {
      button.addEventListener("click", () => {
        const { command, value, from, whole } = button.dataset;
        const words = [command];
        // A mark is the whole run's.
        if (whole === undefined && workload.value) words.push(workload.value);
        if (value) words.push(value);
        if (from) words.push(document.getElementById(from).value.trim());
        ask(words.join(" "));
      });
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(document.getElementById("words").value.trim());
    });
    form.querySelector(".stop").addEventListener("click", () => {
      if (confirm("Stop the run? No new iteration starts; running ones may finish.")) ask("stop");
    });
  }
  setInterval(fill, 500);
  listen();
})();
