// Keys. Never while somebody types, never with a modifier, never by a key held down.

import { $ } from './dom.js'

const PLACES = { i: '/', h: '/history', s: '/settings', d: '/docs' }
let going = 0

export const typing = el => !!el?.closest?.('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]')

/** `on(key)` is asked for each key; it answers true when it used it. */
export function startKeys(on) {
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
    const help = $('#help')
    if (event.key === 'Escape') {
      if (help?.open) return
      if (typing(event.target) && event.target.id === 'filter') { event.target.blur(); return }
      if (on('Escape')) event.preventDefault()
      return
    }
    if (typing(event.target) || help?.open) return
    if (event.target.closest?.('button, summary, a, input') && (event.key === 'Enter' || event.key === ' ')) return
    if (going && PLACES[event.key]) { going = 0; event.preventDefault(); location.assign(PLACES[event.key]); return }
    going = 0
    if (event.repeat && !'jk'.includes(event.key)) return
    if (event.key === 'g') { going = setTimeout(() => { going = 0 }, 1200); return }
    if (event.key === '?') { event.preventDefault(); help?.showModal(); return }
    if (on(event.key)) event.preventDefault()
  })
  $('#help-open')?.addEventListener('click', () => $('#help').showModal())
  $('#help')?.addEventListener('click', event => { if (event.target.id === 'help') event.target.close() })
}
