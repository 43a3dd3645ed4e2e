// Draws each sample by the same code as the inbox.

import { createCard, contextView } from './card.js'
import { parse } from './json.js'
import { startClock } from './time.js'
import { rowView } from './queue.js'
import { h } from './dom.js'
import { state } from './store.js'

const { states, person, names } = parse(document.querySelector('#data').textContent)
Object.assign(state, { person, names })
const nothing = () => Promise.resolve({ session: [], similar: [] })
const ctx = {
  lost: new Map(), stale: new Map(), back() {}, next() {}, discard() {}, related: nothing,
  act: () => Promise.resolve({ title: 'This is a gallery.', detail: 'Nothing is decided here.' }),
  load: name => import(`./${name}.js`),
}

for (const box of document.querySelectorAll('[data-state]')) {
  const { request, panel } = states[box.dataset.state]
  const card = createCard(request, ctx)
  box.replaceChildren(h('ul.exhibit-row', null, rowView(request)), card.el, contextView(request, nothing))
  if (panel) card.press(panel)
}
document.body.classList.add('scripted')
document.activeElement?.blur()
scrollTo(0, 0)
startClock()
