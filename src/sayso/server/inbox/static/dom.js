// Building elements from script. Text only ever becomes text nodes: nothing here parses markup.

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'open', 'required', 'selected', 'multiple'])

/** h('button.primary', {onclick: f, 'aria-label': 'x'}, 'text', child) */
export function h(name, props, ...kids) {
  const [tag, ...classes] = name.split('.')
  const el = document.createElement(tag)
  if (classes.length) el.className = classes.join(' ')
  for (const [key, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue
    if (typeof value === 'function') el.addEventListener(key.slice(2), value)
    else if (key === 'data') Object.assign(el.dataset, value)
    else if (PROPERTIES.has(key)) el[key] = value
    else el.setAttribute(key, value === true ? '' : value)
  }
  el.append(...kids.flat(9).filter(kid => kid != null && kid !== false && kid !== ''))
  return el
}

const SVG = 'http://www.w3.org/2000/svg'

/** A drawing from the sprite in the page; decorative, so always beside a word. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('class', `i i-${name}`)
  svg.setAttribute('aria-hidden', 'true')
  const use = document.createElementNS(SVG, 'use')
  use.setAttribute('href', `#i-${name}`)
  svg.append(use)
  return svg
}

export const $ = (selector, root = document) => root.querySelector(selector)
export const phone = () => matchMedia('(max-width: 1023px)').matches
let serial = 0
export const uid = prefix => `${prefix}-${++serial}`
/** Whether a card is rendered now; on a phone its heading has a box, not itself. */
export const onScreen = card => !!card?.querySelector('h2').getClientRects().length
/** Texts side by side, each in a direction of its own, so that none reorders another. */
export const apart = (texts, show) => texts.map((text, at) => [at > 0 && ' · ', h('bdi', null, show(text))])
export const plural = (n, one, many = one + 's') => `${n} ${n === 1 ? one : many}`
