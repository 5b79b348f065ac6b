// Shows pictures to click. Python keeps what is picked; a click only notifies it.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("#list");
  list.setAttribute("aria-label", data.label);
  const shown = [...list.children].map((button) => button.dataset.id).join();
  if (shown !== data.things.map(({ id }) => id).join()) {
    list.replaceChildren(
      ...data.things.map(({ id, name }) => {
        const button = document.createElement("button");
        button.dataset.id = id;
        button.title = name;
        button.setAttribute("aria-label", name);
        button.append(Object.assign(new Image(), { alt: "" }));
        return button;
      }),
    );
  }
  data.things.forEach(({ url, badge, pressed }, i) => {
    const button = list.children[i];
    button.setAttribute("aria-pressed", pressed);
    button.dataset.badge = badge;
    if (button.firstChild.src !== url) button.firstChild.src = url;
    button.onclick = () => setTriggerValue("clicked", button.dataset.id);
  });
}
