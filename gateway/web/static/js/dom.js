// Building and filling elements. Text only ever goes in as text: nothing on this page parses HTML.

/** An element with attributes and children; strings become text nodes. `on<event>` adds a listener. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Set text only where it differs: an unchanged node costs no layout and is not read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export function setClass(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

/** Fill a bar to a share of 0 to 1. Set through the object model: the page's policy allows no style attributes. */
export function setShare(element, share) {
  const text = `scaleX(${Math.min(1, Math.max(0, share || 0)).toFixed(3)})`;
  if (element.style.transform !== text) element.style.transform = text;
}

const css = getComputedStyle(document.documentElement);

/** A colour of the theme in use, for canvases. */
export const colour = (name) => css.getPropertyValue(`--${name}`).trim();
