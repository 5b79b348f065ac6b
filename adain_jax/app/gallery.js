// Shows pictures to pick from. Python keeps the selection; a click only notifies it.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("#list");
  list.setAttribute("aria-label", data.label);
  const shown = [...list.children].map((button) => button.dataset.id).join();
  if (shown !== data.pictures.map(({ id }) => id).join()) {
    list.replaceChildren(
      ...data.pictures.map(({ id, name, url }) => {
        const button = document.createElement("button");
        button.dataset.id = id;
        button.title = name;
        button.setAttribute("aria-label", name);
        button.append(Object.assign(new Image(), { src: url, alt: "" }));
        return button;
      }),
    );
  }
  for (const button of list.children) {
    const place = data.picked.indexOf(button.dataset.id);
    button.setAttribute("aria-pressed", place >= 0);
    button.dataset.place = data.picked.length > 1 && place >= 0 ? place + 1 : "";
    button.onclick = () => setTriggerValue("clicked", button.dataset.id);
  }
}
