/*
 * "Share through Nextcloud": a button and a menu entry of JupyterLab's file browser, and their dialog.
 *
 * JupyterLab loads this file as it is; it is a container of module federation that is written by hand. `init` gets the
 * packages that JupyterLab shares, `get` returns the plugin. The lab's server (`gozen.sharing.lab`) does the work. File
 * names and the words of Nextcloud are only put in as text.
 */
(() => {
  "use strict";

  const COMMAND = "gozen-share:open";
  const HERE = document.currentScript.src;
  const PAUSE_MS = 400;
  const PATIENCE_MS = 30_000;
  const SLOW_MS = 2_000;
  const MOST = 100;
  const SHOWN = 10;
  const ASKING = "form :is(button, input, select), td button, .gozen-account button";
  const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16"><path class="jp-icon3"
    fill="#616161" d="M15 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm-9-2V7H4v3H1v2h3v3h2v-3h3v-2H6zm9 4c-2.7 0-8 1.3-8
    4v2h16v-2c0-2.7-5.3-4-8-4z"/></svg>`;

  /** Packages of JupyterLab by name; `load` fills it. */
  const lab = {};

  async function load(shared) {
    const names = {
      apputils: "@jupyterlab/apputils",
      filebrowser: "@jupyterlab/filebrowser",
      services: "@jupyterlab/services",
      translation: "@jupyterlab/translation",
      components: "@jupyterlab/ui-components",
      widgets: "@lumino/widgets",
    };
    for (const [key, name] of Object.entries(names)) {
      const versions = Object.values(shared[name]);
      const chosen = versions.find((one) => one.loaded) ?? versions[0];
      lab[key] = (await chosen.get())();
    }
  }

  // ---- Words ----

  let words = {};

  /** Return an English sentence in the language of the lab; each `{}` becomes one of the values. */
  function say(english, ...values) {
    return (words[english] ?? english).replace(/\{\}/g, () => String(values.shift()));
  }

  async function loadWords(language) {
    if (language.startsWith("ja")) {
      words = await (await fetch(new URL("words.ja.json", HERE))).json();
    }
  }

  function sizeText(bytes) {
    const unit = ["B", "kB", "MB", "GB"].findIndex((_, power) => bytes < 1000 ** (power + 1));
    const power = unit < 0 ? 3 : unit;
    return `${(bytes / 1000 ** power).toFixed(power ? 1 : 0)} ${["B", "kB", "MB", "GB"][power]}`;
  }

  // ---- The lab's server ----

  class Refusal extends Error {
    constructor(name, message, conflicts = []) {
      super(message);
      this.name = name;
      this.conflicts = conflicts;
    }
  }

  async function ask(method, path, content) {
    const { ServerConnection } = lab.services;
    const settings = ServerConnection.makeSettings();
    const request = { method, ...(content ? { body: JSON.stringify(content) } : {}) };
    const response = await ServerConnection.makeRequest(`${settings.baseUrl}gozen/share/${path}`, request, settings);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      throw new Refusal(answer.error ?? "", answer.message ?? `${response.status} ${response.statusText}`);
    }
    return answer;
  }

  const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));

  /** Ask for the state of a transfer, which goes on if the lab does not answer for a moment. */
  async function askPatiently(path) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await ask("GET", path);
      } catch (error) {
        // A refusal with a name is an answer of Gozen.
        if ((error instanceof Refusal && error.name) || Date.now() > end) {
          throw error;
        }
        await pause();
      }
    }
  }

  // ---- Elements ----

  /** Make an element; texts among the children become text, never HTML. */
  function make(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function button(text, act, className = "") {
    const made = make("button", { type: "button", className }, text);
    made.addEventListener("click", act);
    return made;
  }

  function field(text, properties, className = "") {
    const input = make("input", properties);
    const label = make("label", { className });
    label.append(...(properties.type === "checkbox" ? [input, text] : [text, input]));
    return { input, label };
  }

  /** A link to a page; an address of another kind, such as javascript:, stays text. */
  function address(url, text = url) {
    const properties = { href: url, target: "_blank", rel: "noopener noreferrer" };
    return /^https?:\/\//.test(url) ? make("a", properties, text) : make("span", {}, url);
  }

  function copyButton(text) {
    const made = button(say("Copy"), () => {
      lab.apputils.Clipboard.copyToSystem(text);
      made.textContent = say("Copied");
    }, "gozen-small");
    return made;
  }

  function rights(share) {
    const parts = [share.read ? (share.write ? say("read and write") : say("read")) : say("upload only")];
    return [...parts, ...(share.reshare ? [say("share it with others")] : [])].join(", ");
  }

  function receiver(share) {
    if (share.kind === "link") {
      const password = share.password ? ` (${say("password")})` : "";
      return `${say("anyone with the link")}${password}${share.label ? `: ${share.label}` : ""}`;
    }
    const name = share.name && share.name !== share.who ? `${share.name} (${share.who})` : share.who;
    return share.kind === "group" ? say("group {}", name) : share.kind === "user" ? name : `${name} (${share.kind})`;
  }

  // ---- The dialog ----

  class ShareDialog {
    constructor(paths) {
      this.paths = paths;
      this.parts = {};
      for (const name of ["account", "places", "seen", "forms", "link", "progress", "error"]) {
        this.parts[name] = make("div", { className: `gozen-${name}`, hidden: true });
      }
      this.parts.link.className = "gozen-links";
      this.parts.error.setAttribute("role", "alert");
      this.parts.progress.classList.add("gozen-line");
      this.parts.seen.setAttribute("aria-live", "polite");
      this.parts.seen.tabIndex = -1;
      this.body = new lab.widgets.Widget({ node: make("div", { className: "gozen-Share" }) });
      this.body.node.tabIndex = -1;
      const { account, places, seen, link, progress, error, forms } = this.parts;
      this.body.node.append(account, places, seen, link, progress, error, forms);
    }

    async open() {
      const { Dialog } = lab.apputils;
      const body = this.body.node;
      // Enter in a field belongs to its form; the dialog would close.
      class ForForms extends Dialog {
        handleEvent(event) {
          if (event.type !== "keydown" || event.key !== "Enter" || !body.contains(event.target)) {
            super.handleEvent(event);
          }
        }
      }
      const names = this.paths.map((path) => path.split("/").pop());
      const title = names.length === 1 ? say("Share {}", names[0]) : say("Share {} files", names.length);
      const close = Dialog.cancelButton({ label: say("Close") });
      const dialog = new ForForms({ title, body: this.body, buttons: [close], hasClose: true });
      const over = dialog.launch();
      this.attempt(() => this.showAccount());
      await over;
      this.closed = true;
      if (this.waiting) {
        await ask("DELETE", "login");
      }
    }

    show(name, ...children) {
      this.parts[name].replaceChildren(...children);
      this.parts[name].hidden = children.length === 0;
    }

    /** Carry out what the user has asked for; meanwhile nothing else can be asked. */
    async attempt(act) {
      const focused = document.activeElement;
      this.show("error");
      this.repeat = null;
      this.enable(false);
      const waiting = make("p", { className: "gozen-quiet" }, say("Waiting for Nextcloud…"));
      if (focused?.disabled || !this.hasFocus()) {
        this.body.node.focus(); // without the focus the dialog does not get its keys, such as Escape
      }
      const slow = setTimeout(() => this.parts.progress.hidden && this.show("progress", waiting), SLOW_MS);
      try {
        await act();
      } catch (error) {
        this.fail(error);
      } finally {
        clearTimeout(slow);
        this.enable(true);
        this.show("progress");
        if (document.activeElement === this.body.node || !this.hasFocus()) {
          (this.body.node.contains(focused) ? focused : this.parts.seen).focus();
        }
      }
    }

    hasFocus() {
      return Boolean(this.body.node.closest(".jp-Dialog")?.contains(document.activeElement));
    }

    enable(yes) {
      this.body.node.setAttribute("aria-busy", String(!yes));
      for (const one of this.body.node.querySelectorAll(ASKING)) {
        one.disabled = !yes;
      }
    }

    fail(error) {
      if (this.closed) {
        lab.apputils.Notification.error(error.message);
      } else if (error.name === "LogInRefused") {
        this.show("error", make("p", {}, error.message));
        this.showLogIn(this.url);
      } else {
        this.show("error", make("p", {}, error.message), ...this.replacement(error.conflicts ?? []));
      }
    }

    /** The files that have changed in Nextcloud, and the button that replaces all of them. */
    replacement(conflicts) {
      const again = this.repeat;
      if (!again || !conflicts.length) {
        return [];
      }
      const more = conflicts.length - SHOWN;
      const items = [...conflicts.slice(0, SHOWN), ...(more > 0 ? [say("and {} more", more)] : [])];
      const text = conflicts.length === 1
        ? say("Replace it in Nextcloud")
        : say("Replace {} files in Nextcloud", conflicts.length);
      return [make("ul", {}, ...items.map((one) => make("li", {}, one))), button(text, () => this.attempt(again))];
    }

    // -- Log-in --

    async showAccount() {
      const { account, url } = await ask("GET", "account");
      this.url = account?.url ?? url;
      if (!account) {
        this.showLogIn(this.url);
        return;
      }
      const end = button(say("Log out"), () => this.attempt(() => this.logOut()), "gozen-small");
      this.show("account", make("span", {}, say("{} at {}", account.user, account.url)), end);
      const files = await this.askFiles();
      this.showForms(); // not earlier: a form that is sent at once must know whether the files have to be sent
      this.showFiles(files);
    }

    showLogIn(url) {
      for (const name of ["account", "places", "seen", "link"]) {
        this.show(name);
      }
      const example = "https://cloud.example.org";
      const place = field(say("Address"), { type: "text", value: url, placeholder: example }, "gozen-wide");
      place.input.inputMode = "url";
      const begin = make("button", { type: "submit", className: "gozen-main" }, say("Log in"));
      const form = this.form(say("Log in at your Nextcloud"), () => this.logIn(place.input.value), place.label, begin);
      form.prepend(make("p", {}, say("You are not logged in at a Nextcloud. Gozen never sees your password.")));
      this.show("forms", form);
      place.input.focus();
    }

    async logIn(url) {
      let state = await ask("POST", "login", { url });
      this.waiting = true;
      try {
        if (state.state === "waiting") {
          this.parts.forms.hidden = true;
          this.show(
            "progress",
            make("p", {}, say("Open this page, log in there, and choose Grant access. This dialog waits for you.")),
            make("p", { className: "gozen-address" }, address(state.page, say("Log in at {}", url))),
          );
          this.parts.progress.querySelector("a")?.focus();
        }
        while (state.state === "waiting" && !this.closed) {
          await pause();
          state = await ask("GET", "login");
        }
      } finally {
        this.waiting = false;
        this.parts.forms.hidden = false;
      }
      if (state.state === "failed") {
        throw new Refusal("", state.message);
      }
      if (!this.closed) {
        await this.showAccount();
      }
    }

    async logOut() {
      await ask("DELETE", "account");
      await this.showAccount();
    }

    // -- Files and who sees them --

    async askFiles() {
      return (await ask("POST", "shares/seen", { paths: this.paths })).files;
    }

    showFiles(files) {
      const shown = files.every((one) => one.shown);
      this.toSend = !shown;
      const places = files.map((one) => one.cloud).join(", ");
      const sentence = shown
        ? say("Nextcloud shows the same file: {}", places)
        : files.every((one) => one.known)
          ? say("In Nextcloud: {}", places)
          : say("To share, the lab sends it to Nextcloud: {}", places);
      this.show("places", make("p", {}, sentence));
      const problems = files.filter((one) => one.message).map((one) => make("p", {}, one.message));
      if (problems.length) {
        this.show("error", ...problems);
      }
      const rows = files.flatMap((file) => file.shares.map((share) => this.row(file, share, files.length > 1)));
      const heads = [...(files.length > 1 ? [say("File")] : []), say("Who"), say("May"), say("Until"), ""];
      const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
      const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
      const none = make("p", { className: "gozen-quiet" }, say("Only you."));
      this.show("seen", make("h3", {}, say("Who sees it")), rows.length ? table : none);
    }

    row(file, share, withName) {
      const what = `${receiver(share)}`;
      const actions = share.url ? [copyButton(share.url), " "] : [];
      if (share.above) {
        actions.push(say("by the folder {}", share.above));
      } else {
        const end = button(say("Withdraw"), () => this.attempt(() => this.withdraw(share)), "gozen-small");
        end.setAttribute("aria-label", `${say("Withdraw")}: ${what}`);
        actions.push(end);
      }
      const cells = [...(withName ? [file.path] : []), what, rights(share)].map((text) => make("td", {}, text));
      const until = make("td", { className: "gozen-day" }, share.until);
      return make("tr", {}, ...cells, until, make("td", {}, ...actions));
    }

    async withdraw(share) {
      await ask("DELETE", "shares", { id: share.id });
      this.show("link");
      this.showFiles(await this.askFiles());
    }

    // -- Forms --

    form(title, act, ...children) {
      const made = make("form", {}, make("h3", {}, title), make("div", { className: "gozen-line" }, ...children));
      made.addEventListener("submit", (event) => {
        event.preventDefault();
        this.attempt(act);
      });
      return made;
    }

    showForms() {
      const hint = say("such as sora, tsuki");
      const who = field(say("Names"), { type: "text", placeholder: hint }, "gozen-wide");
      const groups = field(say("these are groups"), { type: "checkbox" });
      const write = field(say("may change it"), { type: "checkbox" });
      const reshare = field(say("may share it with others"), { type: "checkbox" });
      const share = make("button", { type: "submit", className: "gozen-main" }, say("Share"));
      const names = () => who.input.value.split(",").map((one) => one.trim()).filter((one) => one);
      const people = this.form(
        say("Share with users and groups"),
        () => this.share({
          [groups.input.checked ? "groups" : "users"]: names(),
          write: write.input.checked,
          reshare: reshare.input.checked,
        }),
        who.label, groups.label, write.label, reshare.label, share,
      );

      const forLabel = { type: "text", placeholder: say("only you see it"), maxLength: 255 };
      const label = field(say("Label"), forLabel, "gozen-wide");
      const expires = field(say("Ends on"), { type: "date" });
      const password = field(say("with a new password"), { type: "checkbox" });
      const link = make("button", { type: "submit", className: "gozen-main" }, say("Make link"));
      const links = this.form(
        say("Public link"),
        () => this.makeLink({
          label: label.input.value,
          expires: expires.input.value,
          password: password.input.checked,
        }),
        label.label, expires.label, password.label, link,
      );
      this.show("forms", people, links);
      who.input.focus();
    }

    async share(wish, overwrite = false) {
      this.repeat = () => this.share(wish, true);
      await this.sendAndAsk("shares", wish, overwrite);
    }

    async makeLink(wish, overwrite = false) {
      this.repeat = () => this.makeLink(wish, true);
      await this.sendAndAsk("links", wish, overwrite, ({ links, message }) => {
        this.showLinks(links);
        if (message) {
          throw new Refusal("", message);
        }
      });
    }

    showLinks(links) {
      this.show("link", ...links.map((one) => newLink(one)));
      if (this.closed) {
        // Nobody would see the passwords any more.
        const texts = links.map((one) => [one.url, one.password].filter((part) => part).join(" "));
        texts.forEach((text) => lab.apputils.Notification.success(text, { autoClose: false }));
      }
    }

    /** Send the files, then ask for something; show who sees them afterwards, which an error may have changed too. */
    async sendAndAsk(path, wish, overwrite, show = () => {}) {
      await this.transfer(overwrite);
      if (this.closed && path === "links") {
        throw new Refusal("", say("The dialog was closed, so no link was made. The files are sent: make it again."));
      }
      try {
        show(await ask("POST", path, { paths: this.paths, ...wish }));
        if (this.closed) {
          lab.apputils.Notification.success(say("{} is shared", this.paths.join(", ")));
        }
      } finally {
        if (!this.closed) {
          this.showFiles(await this.askFiles());
        }
      }
    }

    // -- Transfers --

    async transfer(overwrite) {
      if (!this.toSend) {
        return;
      }
      const { id } = await ask("POST", "uploads", { paths: this.paths, overwrite });
      const bar = make("progress", { max: 1, value: 0 });
      bar.setAttribute("aria-label", say("Progress of the transfer"));
      const text = make("span", {}, "");
      const cancel = button(say("Cancel"), () => ask("DELETE", `uploads/${id}`), "gozen-small");
      this.show("progress", bar, text, cancel);
      let state = await askPatiently(`uploads/${id}`);
      while (state.state === "running") {
        bar.value = state.found ? state.moved / state.found : 0;
        text.textContent = say("{} of {} sent", sizeText(state.moved), sizeText(state.found));
        await pause();
        state = await askPatiently(`uploads/${id}`);
      }
      this.show("progress");
      if (state.state === "stopped") {
        throw new Refusal("", say("You have cancelled the transfer. Nothing is shared. Share again to continue it."));
      }
      if (state.state === "failed") {
        throw new Refusal(state.error, state.message, state.conflicts);
      }
    }
  }

  function newLink(link) {
    const picture = make("img", { src: link.qr, alt: say("QR code of the link") });
    const lines = [make("div", { className: "gozen-address" }, address(link.url), " ", copyButton(link.url))];
    if (link.password) {
      const words = make("code", {}, link.password);
      lines.push(make("div", {}, say("Password"), ": ", words, " ", copyButton(link.password)));
      lines.push(make("p", { className: "gozen-quiet" }, say("Nextcloud does not show the password again.")));
    }
    return make("div", { className: "gozen-new-link" }, make("div", {}, ...lines), picture);
  }

  // ---- The plugin ----

  function plugin() {
    return {
      id: "gozen-share:plugin",
      description: "Shares files of the file browser through Nextcloud.",
      autoStart: true,
      requires: [lab.filebrowser.IFileBrowserFactory],
      optional: [lab.apputils.ICommandPalette, lab.translation.ITranslator],
      activate: async (app, browsers, palette, translator) => {
        await loadWords(translator?.languageCode ?? "en");
        document.head.append(make("link", { rel: "stylesheet", href: new URL("gozen-share.css", HERE).href }));
        const icon = new lab.components.LabIcon({ name: "gozen-share:icon", svgstr: ICON });
        const selected = () => {
          const browser = browsers.tracker.currentWidget;
          const items = browser ? [...browser.selectedItems()].map((one) => one.path) : [];
          return items.length ? items : [browser?.model.path ?? ""];
        };
        const open = () => {
          const { contents } = app.serviceManager;
          const paths = selected();
          // Only these two drives show files of the lab.
          const refusal = paths.some((path) => !["", "RTC"].includes(contents.driveName(path)))
            ? say("These are not files of the lab. Copy them into it first.")
            : paths.length > MOST && say("Select at most {} files, or share their folder.", MOST);
          if (refusal) {
            return lab.apputils.showErrorMessage(say("Share through Nextcloud"), refusal);
          }
          return new ShareDialog(paths.map((path) => contents.localPath(path))).open();
        };
        app.commands.addCommand(COMMAND, {
          label: (args) => (args.toolbar ? "" : say("Share through Nextcloud…")),
          caption: say("Share the selected files through Nextcloud, and see who sees them"),
          icon,
          execute: open,
        });
        palette?.addItem({ command: COMMAND, category: say("File Operations") });
      },
    };
  }

  let shared = null;
  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["gozen-share"] = {
    init: (scope) => {
      shared = scope;
    },
    get: async (module) => {
      if (module !== "./extension") {
        throw new Error(`gozen-share has no module ${module}`);
      }
      await load(shared);
      return () => ({ __esModule: true, default: plugin() });
    },
  };
})();
