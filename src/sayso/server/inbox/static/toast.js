// Short messages that say what has just happened. They never hold the only way to do something.

import { h, $, icon } from './dom.js'

const SIGN = { good: 'check', no: 'x', info: 'info', bad: 'warn' }

export function toast(text, tone = 'info') {
  const box = $('#toasts')
  const el = h(`div.toast.${tone}`, null, icon(SIGN[tone]), h('span', null, text))
  box.append(el)
  while (box.children.length > 3) box.firstElementChild.remove()
  const life = setTimeout(() => el.remove(), 6000)
  el.addEventListener('click', () => { clearTimeout(life); el.remove() })
}

export function announce(text) { $('#announce').textContent = text }
