/*
 * "Share through Nextcloud": a button and a menu entry of JupyterLab's file browser, and their dialog.
 *
 * JupyterLab loads this file as it is; it is a container of module federation that is written by hand. `init` gets the
 * packages that JupyterLab shares, `get` returns the plugin. The lab's server (`gozen.sharing.lab`) does the work. File
 * names and the words of Nextcloud are only put in as text.
 *
 * Order: JupyterLab's packages, words, requests to the lab's server, elements of a page, how a share is described,
 * transfers, notices, the frame of the dialog, its contents, the plugin, the container.
 */
(() => {
  "use strict";

  const COMMAND = "gozen-share:open";
  const HERE = document.currentScript.src;
  const PAUSE_MS = 400;
  const PATIENCE_MS = 30_000;
  const SLOW_MS = 2_000;
  const NOTICE_MS = 10_000;
  const MOST = 100;
  const SHOWN = 10;
  const UNITS = ["B", "kB", "MB", "GB"];
  const ASKING = "form :is(button, input, select), td button, .gozen-account button";
  const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16"><path class="jp-icon3"
    fill="#616161" d="M15 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm-9-2V7H4v3H1v2h3v3h2v-3h3v-2H6zm9 4c-2.7 0-8 1.3-8
    4v2h16v-2c0-2.7-5.3-4-8-4z"/></svg>`;
  const PACKAGES = {
    apputils: "@jupyterlab/apputils",
    filebrowser: "@jupyterlab/filebrowser",
    services: "@jupyterlab/services",
    translation: "@jupyterlab/translation",
    components: "@jupyterlab/ui-components",
    widgets: "@lumino/widgets",
  };

  /** Packages of JupyterLab by the keys of `PACKAGES`; `loadPackages` fills it. */
  const lab = {};

  /** Take the packages that JupyterLab shares; of several versions the one that is in use. */
  async function loadPackages(shared) {
    for (const [key, name] of Object.entries(PACKAGES)) {
      const versions = Object.values(shared[name]);
      const chosen = versions.find((one) => one.loaded) ?? versions[0];
      lab[key] = (await chosen.get())();
    }
  }

  /** Sentences in the language of the lab by the English ones; `loadWords` fills it. */
  let words = {};

  async function loadWords(language) {
    if (language.startsWith("ja")) {
      words = await (await fetch(new URL("words.ja.json", HERE))).json();
    }
  }

  /** Return an English sentence in the language of the lab; each `{}` becomes one of the values. */
  function say(english, ...values) {
    return (words[english] ?? english).replace(/\{\}/g, () => String(values.shift()));
  }

  function sizeText(bytes) {
    const enough = UNITS.findIndex((_, power) => bytes < 1000 ** (power + 1));
    const power = enough < 0 ? UNITS.length - 1 : enough;
    return `${(bytes / 1000 ** power).toFixed(power ? 1 : 0)} ${UNITS[power]}`;
  }

  /** A request that was not carried out; `name` is that of Gozen's error, and empty if Gozen has not answered. */
  class Refusal extends Error {
    constructor(name, message, conflicts = []) {
      super(message);
      this.name = name;
      this.conflicts = conflicts;
    }
  }

  /** Ask the lab's server, and return its answer. */
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
        if ((error instanceof Refusal && error.name) || Date.now() > end) {
          throw error;
        }
        await pause();
      }
    }
  }

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

  function submitButton(text) {
    return make("button", { type: "submit", className: "gozen-main" }, text);
  }

  function field(text, properties, className = "") {
    const input = make("input", properties);
    const label = make("label", { className });
    label.append(...(properties.type === "checkbox" ? [input, text] : [text, input]));
    return { input, label };
  }

  function checkbox(text) {
    return field(text, { type: "checkbox" });
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

  /** What the receiver of a share may do. */
  function rights(share) {
    const parts = [share.read ? (share.write ? say("read and write") : say("read")) : say("upload only")];
    return [...parts, ...(share.reshare ? [say("share it with others")] : [])].join(", ");
  }

  /** Who the receiver of a share is. */
  function receiver(share) {
    if (share.kind === "link") {
      const password = share.password ? ` (${say("password")})` : "";
      return `${say("anyone with the link")}${password}${share.label ? `: ${share.label}` : ""}`;
    }
    const name = share.name && share.name !== share.who ? `${share.name} (${share.who})` : share.who;
    return share.kind === "group" ? say("group {}", name) : share.kind === "user" ? name : `${name} (${share.kind})`;
  }

  /** Where the files are, or will be, in Nextcloud. */
  function placesSentence(files) {
    const places = files.map((one) => one.cloud).join(", ");
    if (files.every((one) => one.shown)) {
      return say("Nextcloud shows the same file: {}", places);
    }
    const known = files.every((one) => one.known);
    return known ? say("In Nextcloud: {}", places) : say("To share, the lab sends it to Nextcloud: {}", places);
  }

  /** The shares of files as a table; `withdraw` is called with a share whose button is pressed. */
  function sharesTable(files, withdraw) {
    const several = files.length > 1;
    const rows = files.flatMap((file) => file.shares.map((share) => shareRow(several ? file : null, share, withdraw)));
    if (!rows.length) {
      return make("p", { className: "gozen-quiet" }, say("Only you."));
    }
    const heads = [...(several ? [say("File")] : []), say("Who"), say("May"), say("Until"), ""];
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  }

  function shareRow(file, share, withdraw) {
    const who = receiver(share);
    const actions = share.url ? [copyButton(share.url), " "] : [];
    if (share.above) {
      actions.push(say("by the folder {}", share.above));
    } else {
      const end = button(say("Withdraw"), () => withdraw(share), "gozen-small");
      end.setAttribute("aria-label", `${say("Withdraw")}: ${who}`);
      actions.push(end);
    }
    const cells = [...(file ? [file.path] : []), who, rights(share)].map((text) => make("td", {}, text));
    const until = make("td", { className: "gozen-day" }, share.until);
    return make("tr", {}, ...cells, until, make("td", {}, ...actions));
  }

  /** A link that was just made, with its password and its QR code. */
  function newLink(link) {
    const picture = make("img", { src: link.qr, alt: say("QR code of the link") });
    const lines = [make("div", { className: "gozen-address" }, address(link.url), " ", copyButton(link.url))];
    if (link.password) {
      const password = make("code", {}, link.password);
      lines.push(make("div", {}, say("Password"), ": ", password, " ", copyButton(link.password)));
      lines.push(make("p", { className: "gozen-quiet" }, say("Nextcloud does not show the password again.")));
    }
    return make("div", { className: "gozen-new-link" }, make("div", {}, ...lines), picture);
  }

  /** Send files, and show the elements of the progress by a function. */
  async function transfer(paths, overwrite, show) {
    const { id } = await ask("POST", "uploads", { paths, overwrite });
    const bar = make("progress", { max: 1, value: 0 });
    bar.setAttribute("aria-label", say("Progress of the transfer"));
    const text = make("span", {}, "");
    show(bar, text, button(say("Cancel"), () => ask("DELETE", `uploads/${id}`), "gozen-small"));
    let state = await askPatiently(`uploads/${id}`);
    while (state.state === "running") {
      bar.value = state.found ? state.moved / state.found : 0;
      text.textContent = say("{} of {} sent", sizeText(state.moved), sizeText(state.found));
      await pause();
      state = await askPatiently(`uploads/${id}`);
    }
    show();
    checkTransfer(state);
  }

  function checkTransfer({ state, error, message, conflicts }) {
    if (state === "stopped") {
      throw new Refusal("", say("You have cancelled the transfer. Nothing is shared. Share again to continue it."));
    }
    if (state === "failed") {
      throw new Refusal(error, message, conflicts);
    }
  }

  /**
   * Say what has become of a request whose dialog is closed.
   *
   * JupyterLab shows only the beginning of a long text. The button opens a dialog for the same files, and gives it to
   * `more`, which shows there what the text does not say; such a notice stays until the user closes it.
   */
  function notify(type, text, paths, more) {
    const open = () => {
      const dialog = new ShareDialog(paths);
      dialog.open(() => more?.(dialog));
    };
    const actions = [{ label: say("Open the dialog"), callback: open }];
    // Without a value for `autoClose`, JupyterLab counts a notification but does not show it.
    lab.apputils.Notification.emit(text, type, { autoClose: more ? false : NOTICE_MS, actions });
  }

  /** JupyterLab's dialog with our parts in it: requests of the user one at a time, their errors, and the focus. */
  class DialogFrame {
    constructor(paths) {
      this.paths = paths;
      this.parts = {};
      for (const name of ["account", "places", "seen", "links", "progress", "error", "forms"]) {
        this.parts[name] = make("div", { className: `gozen-${name}`, hidden: true });
      }
      const { error, progress, seen } = this.parts;
      error.setAttribute("role", "alert");
      progress.classList.add("gozen-line");
      seen.setAttribute("aria-live", "polite");
      seen.tabIndex = -1;
      this.node = make("div", { className: "gozen-Share", tabIndex: -1 }, ...Object.values(this.parts));
    }

    /** Show it until the user closes it. */
    async launch(title) {
      const { Dialog } = lab.apputils;
      const { node } = this;
      // Enter in a field belongs to its form; the dialog would close.
      class ForForms extends Dialog {
        handleEvent(event) {
          if (event.type !== "keydown" || event.key !== "Enter" || !node.contains(event.target)) {
            super.handleEvent(event);
          }
        }
      }
      const body = new lab.widgets.Widget({ node });
      const close = Dialog.cancelButton({ label: say("Close") });
      await new ForForms({ title, body, buttons: [close], hasClose: true }).launch();
      this.closed = true;
    }

    /** Replace the contents of a part; without contents it is hidden. */
    show(name, ...children) {
      this.parts[name].replaceChildren(...children);
      this.parts[name].hidden = children.length === 0;
    }

    /** Carry out what the user has asked for; meanwhile nothing else can be asked. */
    async attempt(act) {
      const focused = document.activeElement;
      this.show("error");
      this.wish = null;
      this.enable(false);
      if (focused?.disabled || !this.hasFocus()) {
        this.node.focus(); // without the focus the dialog does not get its keys, such as Escape
      }
      const slow = setTimeout(() => this.showWaiting(), SLOW_MS);
      try {
        await act();
      } catch (error) {
        this.fail(error);
      } finally {
        clearTimeout(slow);
        this.enable(true);
        this.show("progress");
        this.returnFocus(focused);
      }
    }

    showWaiting() {
      if (this.parts.progress.hidden) {
        this.show("progress", make("p", { className: "gozen-quiet" }, say("Waiting for Nextcloud…")));
      }
    }

    enable(yes) {
      this.node.setAttribute("aria-busy", String(!yes));
      for (const one of this.node.querySelectorAll(ASKING)) {
        one.disabled = !yes;
      }
    }

    hasFocus() {
      return Boolean(this.node.closest(".jp-Dialog")?.contains(document.activeElement));
    }

    returnFocus(focused) {
      if (document.activeElement === this.node || !this.hasFocus()) {
        (this.node.contains(focused) ? focused : this.parts.seen).focus();
      }
    }

    form(title, act, ...children) {
      const made = make("form", {}, make("h3", {}, title), make("div", { className: "gozen-line" }, ...children));
      made.addEventListener("submit", (event) => {
        event.preventDefault();
        this.attempt(act);
      });
      return made;
    }
  }

  /** The account, who sees the files, and the forms for new shares and links. */
  class ShareDialog extends DialogFrame {
    /** Show it until the user closes it; `then` is called when the files are shown. */
    async open(then = () => {}) {
      const names = this.paths.map((path) => path.split("/").pop());
      const title = names.length === 1 ? say("Share {}", names[0]) : say("Share {} files", names.length);
      const over = this.launch(title);
      this.attempt(() => this.begin(then));
      await over;
      if (this.waiting) {
        await ask("DELETE", "login");
      }
    }

    async begin(then) {
      try {
        await this.showAccount();
        then();
      } catch (error) {
        // Who has closed the dialog already has not asked for anything.
        if (!this.closed) {
          throw error;
        }
      }
    }

    fail(error) {
      const { wish } = this;
      if (this.closed) {
        notify("error", error.message, this.paths, (dialog) => {
          dialog.wish = wish;
          dialog.fail(error);
        });
        return;
      }
      if (error.links) {
        this.showLinks(error.links);
      }
      this.show("error", make("p", {}, error.message), ...this.replacement(error.conflicts ?? []));
      if (error.name === "LogInRefused") {
        this.showLogIn(this.url);
      }
    }

    /** The files that have changed in Nextcloud, and the button that replaces all of them. */
    replacement(conflicts) {
      const { wish } = this;
      if (!wish || !conflicts.length) {
        return [];
      }
      const more = conflicts.length - SHOWN;
      const items = [...conflicts.slice(0, SHOWN), ...(more > 0 ? [say("and {} more", more)] : [])];
      const text = conflicts.length === 1
        ? say("Replace it in Nextcloud")
        : say("Replace {} files in Nextcloud", conflicts.length);
      const replace = button(text, () => this.attempt(() => this.sendAndAsk(wish, true)));
      return [make("ul", {}, ...items.map((one) => make("li", {}, one))), replace];
    }

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

    async logOut() {
      await ask("DELETE", "account");
      await this.showAccount();
    }

    showLogIn(url) {
      for (const name of ["account", "places", "seen", "links"]) {
        this.show(name);
      }
      const example = "https://cloud.example.org";
      const place = field(say("Address"), { type: "text", value: url, placeholder: example }, "gozen-wide");
      place.input.inputMode = "url";
      const title = say("Log in at your Nextcloud");
      const form = this.form(title, () => this.logIn(place.input.value), place.label, submitButton(say("Log in")));
      form.prepend(make("p", {}, say("You are not logged in at a Nextcloud. Gozen never sees your password.")));
      this.show("forms", form);
      place.input.focus();
    }

    async logIn(url) {
      const begun = await ask("POST", "login", { url });
      this.waiting = true;
      try {
        const state = await this.agreed(begun, url);
        if (state.state === "failed") {
          throw new Refusal("", state.message);
        }
      } finally {
        this.waiting = false;
        this.parts.forms.hidden = false;
      }
      if (!this.closed) {
        await this.showAccount();
      }
    }

    /** Show Nextcloud's page, and wait until the user has agreed there. */
    async agreed(begun, url) {
      let state = begun;
      if (state.state === "waiting") {
        this.parts.forms.hidden = true;
        this.showPage(state.page, url);
      }
      while (state.state === "waiting" && !this.closed) {
        await pause();
        state = await ask("GET", "login");
      }
      return state;
    }

    showPage(page, url) {
      this.show(
        "progress",
        make("p", {}, say("Open this page, log in there, and choose Grant access. This dialog waits for you.")),
        make("p", { className: "gozen-address" }, address(page, say("Log in at {}", url))),
      );
      this.parts.progress.querySelector("a")?.focus();
    }

    async askFiles() {
      return (await ask("POST", "shares/seen", { paths: this.paths })).files;
    }

    showFiles(files) {
      this.toSend = !files.every((one) => one.shown);
      this.show("places", make("p", {}, placesSentence(files)));
      const problems = files.filter((one) => one.message).map((one) => make("p", {}, one.message));
      if (problems.length) {
        this.show("error", ...problems);
      }
      const table = sharesTable(files, (share) => this.attempt(() => this.withdraw(share)));
      this.show("seen", make("h3", {}, say("Who sees it")), table);
    }

    /** Show who sees the files now. */
    async refresh() {
      if (!this.closed) {
        this.showFiles(await this.askFiles());
      }
    }

    async withdraw(share) {
      await ask("DELETE", "shares", { id: share.id });
      this.show("links");
      this.done(say("Withdrawn: {}", receiver(share)));
      await this.refresh();
    }

    showForms() {
      const people = this.peopleForm();
      this.show("forms", people, this.linkForm());
      people.querySelector("input").focus();
    }

    peopleForm() {
      const who = field(say("Names"), { type: "text", placeholder: say("such as sora, tsuki") }, "gozen-wide");
      const groups = checkbox(say("these are groups"));
      const write = checkbox(say("may change it"));
      const reshare = checkbox(say("may share it with others"));
      const share = () => {
        const names = who.input.value.split(",").map((one) => one.trim()).filter((one) => one);
        const receivers = { [groups.input.checked ? "groups" : "users"]: names };
        const content = { ...receivers, write: write.input.checked, reshare: reshare.input.checked };
        return this.sendAndAsk({ path: "shares", content });
      };
      const labels = [who, groups, write, reshare].map((one) => one.label);
      return this.form(say("Share with users and groups"), share, ...labels, submitButton(say("Share")));
    }

    linkForm() {
      const properties = { type: "text", placeholder: say("only you see it"), maxLength: 255 };
      const label = field(say("Label"), properties, "gozen-wide");
      const expires = field(say("Ends on"), { type: "date" });
      const password = checkbox(say("with a new password"));
      const link = () => {
        const [text, day, secret] = [label.input.value, expires.input.value, password.input.checked];
        return this.sendAndAsk({ path: "links", content: { label: text, expires: day, password: secret } });
      };
      const labels = [label, expires, password].map((one) => one.label);
      return this.form(say("Public link"), link, ...labels, submitButton(say("Make link")));
    }

    /** Send the files, then ask for a share or a link; show who sees them afterwards, also after an error. */
    async sendAndAsk(wish, overwrite = false) {
      this.wish = wish;
      if (this.toSend) {
        await transfer(this.paths, overwrite, (...elements) => this.show("progress", ...elements));
      }
      if (this.closed && wish.path === "links") {
        throw new Refusal("", say("The dialog was closed, so no link was made. The files are sent: make it again."));
      }
      try {
        this.showAnswer(await ask("POST", wish.path, { paths: this.paths, ...wish.content }));
      } finally {
        await this.refresh();
      }
    }

    /** Show what was made; of links also those that were made before one failed. */
    showAnswer({ links, message }) {
      if (message) {
        throw Object.assign(new Refusal("", message), { links });
      }
      if (links) {
        this.showLinks(links);
      }
      const [first, ...others] = this.paths;
      this.done(others.length ? say("{} files are shared", this.paths.length) : say("{} is shared", first), links);
    }

    showLinks(links) {
      this.show("links", ...links.map((one) => newLink(one)));
    }

    /** Say that a request was carried out, if the dialog that would show it is closed. */
    done(text, links) {
      if (this.closed) {
        notify("success", text, this.paths, links && ((dialog) => dialog.showLinks(links)));
      }
    }
  }

  /** The paths of the selected files, or of the folder that the file browser shows. */
  function selectedPaths(browser) {
    const items = browser ? [...browser.selectedItems()].map((one) => one.path) : [];
    return items.length ? items : [browser?.model.path ?? ""];
  }

  /** Why these paths cannot be shared; empty if they can. */
  function objection(paths, contents) {
    // Only these two drives show files of the lab.
    if (paths.some((path) => !["", "RTC"].includes(contents.driveName(path)))) {
      return say("These are not files of the lab. Copy them into it first.");
    }
    return paths.length > MOST ? say("Select at most {} files, or share their folder.", MOST) : "";
  }

  function openFor(paths, contents) {
    const refusal = objection(paths, contents);
    if (refusal) {
      return lab.apputils.showErrorMessage(say("Share through Nextcloud"), refusal);
    }
    return new ShareDialog(paths.map((path) => contents.localPath(path))).open();
  }

  async function activate(app, browsers, palette, translator) {
    await loadWords(translator?.languageCode ?? "en");
    document.head.append(make("link", { rel: "stylesheet", href: new URL("gozen-share.css", HERE).href }));
    app.commands.addCommand(COMMAND, {
      label: (args) => (args.toolbar ? "" : say("Share through Nextcloud…")),
      caption: say("Share the selected files through Nextcloud, and see who sees them"),
      icon: new lab.components.LabIcon({ name: "gozen-share:icon", svgstr: ICON }),
      execute: () => openFor(selectedPaths(browsers.tracker.currentWidget), app.serviceManager.contents),
    });
    palette?.addItem({ command: COMMAND, category: say("File Operations") });
  }

  function plugin() {
    return {
      id: "gozen-share:plugin",
      description: "Shares files of the file browser through Nextcloud.",
      autoStart: true,
      requires: [lab.filebrowser.IFileBrowserFactory],
      optional: [lab.apputils.ICommandPalette, lab.translation.ITranslator],
      activate,
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
      await loadPackages(shared);
      return () => ({ __esModule: true, default: plugin() });
    },
  };
})();
