// What the page itself does: cues where a table scrolls, pictures at full size, folded parts open for the printer.

function watchScrolling() {
  for (const box of document.querySelectorAll(".scroll")) {
    const cue = el("p", { class: "cue", hidden: "", "aria-hidden": "true" }, "scroll sideways for more →");
    box.after(cue);
    const look = () => {
      const isMore = box.scrollWidth > box.clientWidth + 1;
      cue.hidden = !isMore;
      box.classList.toggle("fits", !isMore);
      box.classList.toggle("more", isMore && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    };
    new ResizeObserver(look).observe(box);
    for (const part of box.children) new ResizeObserver(look).observe(part);
    box.addEventListener("scroll", look, { passive: true });
    look();
  }
}

// without a script the link itself shows the picture at full size, see the style of .frame:target
function watchPictures() {
  const links = [...document.querySelectorAll("a.enlarge")];
  if (!links.length || !window.HTMLDialogElement) return;
  const picture = el("img", { alt: "" });
  const name = el("p", { id: "large-name" });
  const dialog = el("dialog", { class: "large", "aria-labelledby": "large-name" });
  let at = 0;
  const fill = (i) => {
    at = (i + links.length) % links.length;
    const small = links[at].querySelector("img");
    picture.src = small.src;
    picture.alt = small.alt;
    name.textContent = links[at].dataset.name;
  };
  const button = (words, act) => el("button", { type: "button", onclick: act }, words);
  dialog.append(
    el("div", { class: "controls" }, button("Close", () => dialog.close()),
      ...(links.length > 1 ? [button("← previous", () => fill(at - 1)), button("next →", () => fill(at + 1))] : []), name),
    el("div", { class: "sheet" }, picture));
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) fill(at + step);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => links[at].focus());
  document.body.append(dialog);
  links.forEach((link, i) => link.addEventListener("click", (event) => {
    event.preventDefault();
    fill(i);
    dialog.showModal();
  }));
}

// a link to something inside a folded part opens it
function openTarget() {
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return; // no name at all
  }
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (target) target.scrollIntoView();
}

function openForPrint() {
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) {
      part.open = true;
      opened.push(part);
    }
  });
  addEventListener("afterprint", () => {
    for (const part of opened.splice(0)) part.open = false;
  });
}

const VIEWS = { policies: policiesView, cdf: cdfView, series: seriesView, cost: costView, requests: requestsView,
  grid: gridView, differences: differencesView };
for (const host of document.querySelectorAll("[data-view]")) VIEWS[host.dataset.view](host);
watchScrolling();
watchPictures();
openForPrint();
addEventListener("hashchange", openTarget);
if (location.hash) openTarget();
