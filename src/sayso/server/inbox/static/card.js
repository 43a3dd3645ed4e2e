// One request: what will happen, with what, in whose words, why a person is asked; then the ways to answer.

import { h, $, icon, uid, phone, onScreen, apart } from './dom.js'
import { argsView, rawView, valueView, shortView } from './args.js'
import { diffView } from './diff.js'
import { headline, facts, gists } from './headline.js'
import { shortDigest, BARRED, barred, offers, demands, silence, shown, changer, myVote, votesView, proposedView, reopenedView, factsView, phase, runView, stopNote, asker, whoView } from './review.js'
import { line, spelled, visible, warningNote } from './visible.js'
import { time, span, exact } from './time.js'
import { isObject } from './json.js'
import { state, may } from './store.js'
import { result, riskMark, priorityMark, voteMark } from './marks.js'
import { toast } from './toast.js'

const REASONS = ['Wrong target', 'Not now', 'Too risky', 'Not needed', 'Tell me more first']
/** Whether a yes to this request takes a passkey. */
const takesPasskey = request => request.rule?.min_strength === 'passkey'
const kbd = key => h('kbd', { 'aria-hidden': 'true' }, key)
const section = (title, ...body) => h('section.part', null, h('h3', null, title), body)

/** In words, what a decision would have said; for what was kept or lost. */
export function spoken(body, request) {
  const option = body.option != null && (request.options.find(o => o.value === body.option)?.label ?? body.option)
  const what = option ? `“${option}”` : body.remember ? 'Approve and remember' : { approve: 'Approve', edit: 'Approve with changes', respond: 'Answer', reject: 'Reject', ignore: 'Ignore', cancel: 'Cancel' }[body.type]
  const text = body.reason || (typeof body.content === 'string' ? body.content : '')
  return text ? `${what}: ${text}` : what
}

function words(request) {
  const a = request.action
  return h('figure.words', null,
    h('figcaption', null, icon('quote'), 'The agent’s own words, not verified'),
    h('blockquote', null,
      h('p.message', { dir: 'auto' }, visible(request.message)), warningNote(request.message),
      a?.rationale && [h('h4', null, 'Its reason'), h('p', { dir: 'auto' }, visible(a.rationale)), warningNote(a.rationale)],
      a?.side_effects?.length > 0 && [h('h4', null, 'Side effects it names'), h('ul', null, a.side_effects.map(s => h('li', { dir: 'auto' }, visible(s))))]))
}

function why(request) {
  const a = request.action
  const ask = { approval: 'The agent may not go on without a yes.', choice: 'The agent cannot choose for itself.', input: 'The agent needs something only a person knows.', plan: 'The agent may not start without a yes to its plan.' }[request.kind]
  return section('Why you are asked', h('p', null, ask, a?.risk_class ? ` The tool is marked ${a.risk_class} risk.` : ''),
    demandsView(request),
    request.policy?.effect === 'ask' && h('p.quiet', null, `By the policy, version ${request.policy.version}: `, visible(request.policy.reason || 'it asks.')),
    request.escalated_at && h('p', null, 'Nobody answered at first; since ', time(request.escalated_at), ' further people are asked, too.'),
    h('p', null, request.deadline_at ? ['If nobody answers within ', time(request.deadline_at, 'left'), ', ', visible(silence(request)), '.'] : request.parked_at ? ['Nobody answered in time; since ', time(request.parked_at), ' it waits without a deadline.'] : 'It has no deadline: it waits until somebody answers.'))
}

function demandsView({ rule }) {
  const told = demands(rule)
  return told.length > 0 && [h('ul.demands', null, told.map(text => h('li', null, visible(text)))),
    h('p.quiet', null, rule.names.length ? ['By the review rule', rule.names.length > 1 && 's', ' ', visible(rule.names.join(', ')), '.'] : 'The agent’s side asks for this.')]
}

export function outcome(request) {
  const d = request.decision, r = result(request)
  const lost = request.lost
  return h(`section.outcome.${r.tone}`, { 'aria-label': 'Result' },
    h('p.outcome-line', null, icon(r.icon), h('strong', null, r.word), d ? [' by ', h('b', { title: spelled(d.by.id) }, visible(d.by.name || d.by.id)), ` ${r.channel}, `, time(d.decided_at), d.standing_grant ? [' · ', h('a', { href: `/grants#${d.standing_grant}` }, 'what was remembered')] : h('span.quiet', null, ` · after ${span(d.took_seconds)}`), d.strength === 'passkey' && h('span.tag.keyed', { title: 'Their passkey signed exactly this decision; the proof is kept with it.' }, icon('key'), 'signed with a passkey')]
      : [request.closed_at && [' ', time(request.closed_at)], h('span', null, ` · ${request.status === 'expired' ? 'nobody answered in time, and the agent was told no' : request.closed_reason || 'no answer is needed any more'}`)]),
    d?.option != null && h('p', null, 'Chosen: ', h('b', null, visible(request.options.find(o => o.value === d.option)?.label ?? d.option))),
    d?.reason && h('blockquote.said', { dir: 'auto' }, visible(d.reason)),
    d?.content != null && (isObject(d.content) ? argsView(d.content) : h('div.said', null, valueView(d.content))),
    d?.args && request.action && [h('h3', null, 'What was changed'), diffView(request.action.tool_args, d.args)],
    lost && h('div.note.warn.lost', null, icon('warn'), h('div', null,
      h('p', null, h('b', null, d ? 'Somebody was faster. ' : 'Too late. '), lost.typed ? 'You had not sent this: ' : 'Yours was not used: ', visible(spoken(lost, request)), '.'),
      isObject(lost.content) && argsView(lost.content), lost.args && request.action && diffView(request.action.tool_args, lost.args))))
}

const deadline = request => request.deadline_at ? exact(request.deadline_at) : 'none'

/** The side column: who asks, what else is known, what happened before; its `refresh()` asks for the last anew. */
export function contextView(request, related) {
  const meta = Object.entries(request.metadata || {})
  const before = h('div')
  const refresh = () => related(request).then(({ session, similar }) => before.replaceChildren(...[
    similar.length && section('Same tool before', h('ul.past', null, similar.map(past))),
    session.length && section('Earlier in this session', h('ul.past', null, session.map(past)))].filter(Boolean)), () => {})
  refresh()
  return Object.assign(h('aside.context', { 'aria-label': 'Context' },
    section('Who asks', h('dl.meta', null,
      whoView(request),
      request.session_id && [h('dt', null, 'Session'), h('dd.mono', null, line(request.session_id))],
      h('dt', null, 'Asked'), h('dd', null, time(request.created_at)),
      h('dt', null, 'Deadline'), h('dd.deadline', null, deadline(request)))),
    meta.length > 0 && section('Sent along', argsView(request.metadata)),
    before), { refresh })
}

function past(request) {
  const r = result(request), told = request.action ? gists(shown(request)) : []
  return h('li', null, h('a', { href: `/requests/${request.id}`, data: { open: request.id } }, h(`span.result.${r.tone}`, null, icon(r.icon), r.word), h('span.past-what', null, told.length ? apart(told, visible) : visible(request.action ? headline(request) : request.message)), h('span.quiet', null, time(request.closed_at || request.created_at))))
}

function holdButton(text, done) {
  let timer = 0
  const stop = () => { clearTimeout(timer); timer = 0; button.classList.remove('holding') }
  const begin = () => { if (timer || button.disabled) return; button.classList.add('holding'); timer = setTimeout(() => { stop(); done() }, 1000) }
  const button = h('button.primary.hold', { type: 'button', onpointerdown: e => { if (e.button === 0) begin() }, onpointerup: stop, onpointerleave: stop, onpointercancel: stop, onblur: stop, oncontextmenu: e => e.preventDefault(),
    onkeydown(e) { if (e.key === ' ' || e.key === 'Enter') { e.preventDefault(); if (!e.repeat && !e.ctrlKey && !e.metaKey && !e.altKey) begin() } },
    onkeyup: stop }, h('span.hold-fill', { 'aria-hidden': 'true' }), h('span', null, text))
  return button
}

function twoPresses(done) {
  let ready = false
  const button = h('button', { type: 'button', onclick() {
    if (ready) return done()
    if (button.getAttribute('aria-disabled')) return
    button.setAttribute('aria-disabled', 'true')
    button.textContent = 'Read it again…'
    setTimeout(() => { ready = true; button.removeAttribute('aria-disabled'); button.textContent = 'Press again to confirm'; button.classList.add('ready') }, 1000)
  } }, 'Confirm in two presses')
  return button
}

/** A card as {el, press(key), request}. `ctx`: act(request, body) -> promise, back(), next(), related(request), load(name). */
export function createCard(request, ctx) {
  const pending = request.status === 'pending', a = request.action, risky = a?.risk_class === 'high'
  const approval = request.kind === 'approval' || request.kind === 'plan'
  const title = uid('title')
  const slot = h('div.slot'), notice = h('div.notice', { 'aria-live': 'polite' }), tray = h('div.tray'), bar = h('div.actions')
  const ran = shown(request)
  const args = a && section(ran === a ? 'Arguments' : pending ? 'Arguments, as proposed' : 'Arguments, as approved', argsView(ran.tool_args))
  const details = a && h('details.raw-details', null, h('summary', null, 'Raw request and digest', h('span.digest.mono', null, shortDigest(ran.digest)), kbd('d')))
  details?.addEventListener('toggle', () => {
    if (details.open && !$('.raw', details)) details.append(h('p.hint.mono.wrap', null, ran.digest), rawView({ tool_name: a.tool_name, tool_args: ran.tool_args }))
  })
  const can = new Set(offers(request))
  const keys = {}
  const views = {}             // the panels opened so far, with what was typed in them
  let busy = false, panel = '', behind = '', answer = null, touched = false

  async function send(body) {
    if (busy) return
    if (!onScreen(el)) return toast('Not decided: its card is not on the screen.', 'bad')
    busy = true
    el.setAttribute('aria-busy', 'true')
    const held = [...el.querySelectorAll('.foot button, .panel button, .options button')].filter(b => !b.disabled)
    for (const b of held) b.disabled = true
    const problem = await ctx.act(request, body.type === 'cancel' ? body : { digest: ran?.digest, ...body })
    busy = false
    el.removeAttribute('aria-busy')
    for (const b of held) b.disabled = false
    if (problem && behind) close()
    notice.replaceChildren()
    if (problem) notice.append(h('div.note.bad', { role: 'alert' }, icon('warn'), h('p', null, h('b', null, 'Not decided. '), problem.detail || problem.title || '', problem.hint ? ` ${problem.hint}` : '', (problem.errors || []).map(e => ` ${e.at}: ${e.message}`))))
    const { assertion, ...plain } = body
    if (problem && assertion ? problem.code === 'stale_challenge' : problem?.code === 'strength_required' && problem.detail.includes('passkey')) { ctx.discard(request.id); confirmSigned(plain) }
    refresh()
  }

  function show(name, view, inFlow = false, also = null) {
    panel = name
    behind = ''
    if (name !== 'confirm') views[name] = [view, inFlow]
    slot.replaceChildren(inFlow ? view : also || '')
    tray.replaceChildren(inFlow ? '' : view)
    bar.hidden = true
    if (args) args.hidden = inFlow || !!also
    if (big) big.hidden = !!also
    if (details) details.hidden = !!also   // its digest is that of what was proposed
    if (inFlow) slot.scrollIntoView({ block: 'nearest' })
    const first = $('textarea, input, select', view) || $('button', view)
    first?.focus({ preventScroll: !inFlow })
  }

  function close() {
    if (!panel) return false
    if (behind) { show(behind, ...views[behind]); return true }
    panel = ''
    slot.replaceChildren()
    tray.replaceChildren()
    bar.hidden = false
    if (args) args.hidden = false
    if (big) big.hidden = false
    if (details) details.hidden = false
    $('h2', el).focus({ preventScroll: true })
    return true
  }

  const actions = (...kids) => h('div.panel-actions', null, kids, h('button', { type: 'button', onclick: close }, 'Back'))

  function confirm(body, text) {
    const hold = holdButton(`Hold to ${text.charAt(0).toLowerCase() + text.slice(1)}`, () => send(body))
    const from = panel, told = facts(body.args ? { ...a, tool_args: body.args } : ran).map(f => f.text)
    show('confirm', h('section.panel.confirm', { 'aria-label': 'Confirm a high-risk action' },
      h('h3', null, riskMark('high'), line(headline(request))),
      told.length > 0 && h('p.confirm-facts', null, apart(told, visible)),
      body.args && diffView(ran.tool_args, body.args),
      h('p.quiet', null, body.args ? 'You sign for the edited arguments; the server computes their digest as you approve.' : ['You sign for ', h('span.mono', null, shortDigest(ran.digest)), '.'], ' Hold for one second.'),
      actions(hold, twoPresses(() => send(body)))), false, body.args && section('Arguments, as edited', argsView(body.args)))
    behind = from
    hold.focus()
  }

  /** What takes a passkey is signed first; that is a confirmation as well. */
  async function confirmSigned(body) {
    const { signing } = await ctx.load('signing')
    const changed = body.args || null
    const from = panel === 'confirm' ? behind : panel, told = facts(changed ? { ...a, tool_args: changed } : ran).map(f => f.text)
    const option = body.option != null && request.options.find(o => o.value === body.option)
    const signed = signing(request, body, { send, digest: body.args ? null : ran?.digest, short: shortDigest })
    show('confirm', h('section.panel.confirm.keyed', { 'aria-label': 'Approve with a passkey' },
      h('h3', null, riskMark(a?.risk_class) || icon('key'), line(headline(request))),
      told.length > 0 && h('p.confirm-facts', null, apart(told, visible)),
      option && h('p', null, 'Your choice: ', h('b', null, visible(option.label))),
      changed && diffView(ran.tool_args, changed),
      signed.el, actions(signed.button)), false, changed && section('Arguments, as edited', argsView(changed)))
    behind = from
  }

  const give = (body, text, approves) => takesPasskey(request) && approves ? confirmSigned(body) : risky && approves ? confirm(body, text) : send(body)

  /** A panel opened again is the one that was left. */
  const again = name => views[name] && (show(name, ...views[name]), true)

  const panels = {
    reject() {
      if (again('reject')) return
      const id = uid('reason')
      const input = h('textarea', { id, rows: 2, dir: 'auto', maxlength: 2000, placeholder: 'Optional, but it helps the agent to do better' })
      show('reject', h('section.panel', { 'aria-label': 'Reject' },
        h('label', { for: id }, h('b', null, 'Why not?'), h('span.quiet', null, ' The agent will read this.')), input,
        h('div.chips', null, REASONS.map(text => h('button.chip', { type: 'button', onclick() { input.value = input.value.trim() ? `${input.value.trim()}. ${text}` : text; $('.reject', tray).focus() } }, text))),
        actions(h('button.reject', { type: 'button', onclick: () => send({ type: 'reject', reason: input.value.trim() }) }, icon('x'), 'Reject'))))
    },
    note() {
      if (again('note')) return
      const id = uid('note')
      const input = h('textarea', { id, rows: 2, dir: 'auto', maxlength: 2000 })
      show('note', h('section.panel', { 'aria-label': 'Approve with a note' },
        h('label', { for: id }, h('b', null, 'Approve with a note.'), h('span.quiet', null, ' The agent will read this.')), input,
        actions(h('button.primary', { type: 'button', onclick: () => give({ type: 'approve', reason: input.value.trim() }, 'Approve', true) }, 'Approve'))))
    },
    answer() {
      if (again('answer')) return
      const id = uid('answer')
      const input = h('textarea', { id, rows: 3, dir: 'auto' })
      const button = h('button.primary', { type: 'button', disabled: true, onclick: () => send({ type: 'respond', content: input.value.trim() }) }, 'Send answer')
      input.addEventListener('input', () => { button.disabled = !input.value.trim() })
      show('answer', h('section.panel', { 'aria-label': 'Answer' },
        h('label', { for: id }, h('b', null, 'Answer instead of running it.'), h('span.quiet', null, ' The tool does not run; the agent gets your text.')), input, actions(button)))
    },
    async edit() {
      if (again('edit')) return
      const { editor } = await ctx.load('editor')
      if (!panel) show('edit', editor(ran, { close, done: edited => give({ type: 'edit', args: edited }, 'Approve the edited ones', true) }), true)
    },
    async remember() {
      if (again('remember')) return
      const { rememberForm } = await ctx.load('remember')
      if (!panel) show('remember', rememberForm(request, { close, done: remember => send({ type: 'approve', remember }) }), true)
    },
    cancel() {
      show('cancel', h('section.panel', { 'aria-label': 'Cancel the request' }, h('p', null, h('b', null, 'Cancel this request?'), ' It leaves the inbox for everybody, and the agent is told that it was cancelled.'),
        actions(h('button.reject', { type: 'button', onclick: () => send({ type: 'cancel' }) }, 'Cancel the request'))))
    },
  }

  const button = (text, key, run, look = '', short = '') => {
    if (key) keys[key] = run
    return h(look ? `button.${look}` : 'button', { type: 'button', onclick: run, 'aria-label': short ? text : null, title: key ? `${text} (${key})` : text, 'aria-keyshortcuts': key || null }, short ? [h('span.wide', null, text), h('span.narrow', { 'aria-hidden': 'true' }, short)] : text, key && kbd(key))
  }
  const optionButtons = () => request.options.filter(o => can.has(`option:${o.value}`)).map((o, i) => {
    const run = () => give({ type: 'respond', option: o.value }, `choose “${spelled(o.label)}”`, o.approves)
    if (i < 9) keys[i + 1] = run
    return h(`button.option${o.approves ? '' : '.refusing'}`, { type: 'button', onclick: run }, i < 9 && kbd(String(i + 1)), h('span.option-label', { dir: 'auto' }, line(o.label)), o.value !== o.label && h('small.mono', { dir: 'auto' }, line(o.value)), h('small', null, o.approves ? 'counts as a yes' : 'counts as a no'))
  })

  function more() {
    const items = [can.has('remember') && ['Approve and remember', 'Decide alike from now on, within limits.', panels.remember], can.has('approve') && ['Approve with a note', 'The agent goes on, and reads what you write.', panels.note], can.has('ignore') && ['Ignore', 'Close it without a word. The agent is told no.', () => send({ type: 'ignore' })], can.has('cancel') && ['Cancel the request', 'Nobody needs to answer any more.', panels.cancel]].filter(Boolean)
    const stop = request.requested_by && can.has('stop') && h('a', { href: `/stops?${new URLSearchParams({ kind: 'agent', value: request.requested_by.id, request: request.id })}` }, h('b', null, 'Stop this agent'), h('small', null, 'Nothing of it can be approved or run.'))
    const menu = h('details.menu', null, h('summary', { title: 'More' }, 'More'), h('div.menu-list', null, items.map(([text, say, run]) => h('button', { type: 'button', onclick() { menu.open = false; run() } }, h('b', null, text), h('small', null, say))), stop))
    return menu
  }

  function fill() {
    if (!pending) { bar.append(h('button.onward', { type: 'button', onclick: ctx.next })); return }
    if (!may('decide')) {
      bar.append(h('p.quiet', null, 'Only reviewers decide this.'), can.has('cancel') ? h('button', { type: 'button', onclick: panels.cancel }, 'Cancel the request') : '')
      return
    }
    const bars = barred(request)
    if (bars) bar.append(h('p.quiet.barred', null, BARRED[bars]))
    const mine = !bars && myVote(request)
    if (mine?.approves && mine.digest === (ran?.digest ?? null)) bar.append(h('p.voted', null, icon('check'), 'You have approved it. It takes more people.'))
    const rejecting = can.has('reject') ? button('Reject', 'r', panels.reject, 'reject') : ''
    if (approval && !$('.voted', bar)) {
      const chosen = optionButtons()
      if (request.options.length) bar.append(chosen.length ? h('div.options.inline', null, chosen) : '', can.has('edit') ? button('Approve with changes', 'e', panels.edit, 'changes', 'Changes') : '', rejecting)
      else {
        if (can.has('approve')) bar.append(button('Approve', 'a', () => give({ type: 'approve' }, 'Approve', true), 'primary'))
        if (can.has('edit')) bar.append(button('Approve with changes', 'e', panels.edit, 'changes', 'Changes'))
        bar.append(can.has('respond') ? button('Answer', 'c', panels.answer) : '', rejecting)
      }
    } else if (request.kind === 'input' && can.has('respond')) {
      const run = () => { const content = answer.read(); if (content != null && content !== '') give({ type: 'respond', content }, 'Send answer', takesPasskey(request)) }
      bar.append(h('button.primary', { type: 'button', onclick: run }, request.schema ? 'Send answers' : 'Send answer'), rejecting)
      keys.c = () => $('.answer input, .answer textarea, .answer select', el)?.focus()
    } else bar.append(rejecting)
    bar.append(more())
    if (details) keys.d = () => { details.open = !details.open; if (details.open) details.scrollIntoView({ block: 'nearest' }) }
  }

  function ask() {
    if (!pending) return null
    if (request.kind === 'choice') return request.options.some(o => can.has(`option:${o.value}`)) && h('section.part', null, h('h3', null, 'Your choice'), h('div.options', null, optionButtons()))
    if (request.kind !== 'input' || !can.has('respond')) return null
    const box = h('section.part.answer', { 'aria-label': 'Your answer', oninput() { touched = true } }, h('h3', null, 'Your answer'))
    if (request.schema) {
      ctx.load('forms').then(({ schemaForm }) => {
        answer = schemaForm(request.schema)
        box.append(h('form', { novalidate: true, onsubmit: e => e.preventDefault() }, answer.el))
      })
    } else {
      const input = h('textarea', { rows: 4, dir: 'auto', 'aria-label': 'Your answer' })
      answer = { read: () => { const text = input.value.trim(); if (!text) input.focus(); return text }, peek: () => input.value.trim() }
      box.append(input)
    }
    return box
  }

  function refresh() {
    if (run && run.dataset.phase !== phase(request)) { const next = drawRun(); run.replaceWith(next); run = next }
    const onward = $('.onward', bar)
    if (onward) onward.textContent = phone() || !state.order.length ? 'Back to the inbox' : 'Next request'
    const body = state.unsent.get(request.id)
    const old = $('.unsent', notice)
    if (!body || !pending) { old?.remove(); return }
    const now = { 'signed-out': 'You are signed out. ', live: 'Back online. Send it now? ' }[state.link] || 'The server could not be reached. '
    if (old?.dataset.body === JSON.stringify(body)) { if ($('.now', old).textContent !== now) $('.now', old).textContent = now; return }
    old?.remove()
    notice.append(h('div.note.warn.unsent', { role: 'alert', data: { body: JSON.stringify(body) } }, icon('warn'),
      h('p', null, h('b', null, 'Not sent. '), h('span.now', null, now), 'Kept here: ', visible(spoken(body, request)), '.'),
      h('button', { type: 'button', onclick: () => send(body) }, 'Send again'), h('button.ghost', { type: 'button', onclick: () => ctx.discard(request.id) }, 'Discard')))
  }

  /** What was typed and not sent, as the decision it would have been; null when there is nothing. */
  function draft() {
    if (busy || !pending) return null
    const typed = name => views[name] && $('textarea', views[name][0]).value.trim()
    const edited = views.edit?.[0].args()
    return typed('reject') ? { type: 'reject', reason: typed('reject'), typed: true }
      : typed('note') ? { type: 'approve', reason: typed('note'), typed: true }
        : typed('answer') ? { type: 'respond', content: typed('answer'), typed: true }
          : edited ? { type: 'edit', args: edited, typed: true }
            : touched && answer ? { type: 'respond', content: answer.peek(), typed: true } : null
  }

  /** Ctrl+Enter is the button that sends what is typed here. */
  function sends(event) {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || event.repeat || event.isComposing || busy || !event.target.matches('textarea, input, select')) return
    const go = panel ? $('.panel-actions .primary, .panel-actions .reject', views[panel][0]) : request.kind === 'input' && $('.primary', bar)
    if (!go) return
    event.preventDefault()
    if (!go.disabled) go.click()
  }

  const left = r => h('span.left', null, icon('clock'), time(r.deadline_at, 'left'), ' left')
  const fuse = r => h('div.fuse', { 'aria-hidden': 'true', data: { from: r.created_at, to: r.deadline_at } }, h('i'))
  let reasons = pending && why(request), votes = votesView(request) || h('div'), stop = h('div', null, stopNote(request)), run = drawRun()
  function drawRun() { const el = runView(request); if (el) el.dataset.phase = phase(request); return el }
  const stopped = () => { if (pending) stop.replaceChildren(stopNote(card.request) || '') }

  /** People got more time, were reminded, or voted: what would be approved is the same, and what is typed stays. */
  function moved(next) {
    if (next === card.request || !pending) return
    if (next.deadline_at !== card.request.deadline_at) {
      $('.left', el)?.replaceWith(next.deadline_at ? left(next) : '')
      $('.fuse', el)?.replaceWith(next.deadline_at ? fuse(next) : '')
      $('.deadline', document)?.replaceChildren(deadline(next))
      reasons.replaceWith(reasons = why(next))
    }
    if (next.votes.length !== card.request.votes.length || JSON.stringify(next.votes) !== JSON.stringify(card.request.votes)) {
      const fresh = votesView(next) || h('div')
      votes.replaceWith(fresh)
      votes = fresh
      $('.count-mark', el)?.replaceWith(voteMark(next) || '')
    }
    card.request = next
  }

  function staleNote() {
    if (!ctx.stale?.has(request.id)) return null
    const by = changer(request), typed = ctx.stale.get(request.id)
    return h('div.note.warn.stale', { role: 'alert' }, icon('warn'), h('div', null,
      h('p', null, h('b', null, by ? [visible(by.name || by.id), ' changed the arguments while you looked. '] : 'The arguments were changed while you looked. '), 'What you see now is what you would decide on. Read it again.'),
      typed && h('p', null, 'You had not sent: ', visible(spoken(typed, request)), '.')))
  }

  const list = facts(ran)
  const big = list.length > 0 && h('dl.facts', null, list.map(f => h(`div.fact.${f.role}`, null, h('dt', null, f.key.replaceAll('_', ' ')), h('dd', { dir: 'auto' }, shortView(f.text)))))
  const el = h('article.card', { onkeydown: sends, 'aria-labelledby': title, data: { status: request.status, risk: a?.risk_class || '', id: request.id } },
    h('header.card-head', null,
      h('button.back.ghost', { type: 'button', onclick: ctx.back }, icon('back'), 'Inbox'),
      h('div.marks', null, riskMark(a?.risk_class), priorityMark(request.priority), voteMark(request), h('span.quiet.from', { title: spelled(request.requested_by?.id ?? '') }, line(asker(request))),
        pending && request.deadline_at && left(request)),
      pending && request.deadline_at && fuse(request),
      h('h2', { id: title, tabindex: '-1' }, line(headline(request))),
      a && h('p.tool', null, h('code', null, line(a.tool_name)), warningNote(a.tool_name))),
    pending && stop, pending && staleNote(), reopenedView(request),
    pending ? null : outcome({ ...request, lost: ctx.lost?.get(request.id) }),
    run, big, a ? null : words(request), ask(), args, proposedView(request), slot, factsView(request), a ? words(request) : null, reasons, votes.matches('section') || pending ? votes : null, details,
    h('footer.foot', null, notice, tray, bar))
  fill()
  refresh()
  const card = { el, request, refresh, close, draft, moved, stopped, typing: () => !!panel || !!draft() || !!state.unsent.get(request.id), press: key => { if (!panel && !busy && keys[key]) { keys[key](); return true } } }
  return card
}
