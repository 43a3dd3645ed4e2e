// What a decision takes, how far it is, and what became of it. The words are those of review.py.

import { h, icon, plural } from './dom.js'
import { argsView, valueView } from './args.js'
import { diffView } from './diff.js'
import { isObject } from './json.js'
import { ALIKE, HIDDEN, LATIN_ALIKE, MARKS, TAGS } from './tables.js'
import { visible, spelled } from './visible.js'
import { time, now, span } from './time.js'
import { through, counted, STOPPED } from './marks.js'
import { state } from './store.js'
import { names } from './api.js'

const KNOWN_BY = { chat: 'known by a chat, or more strongly', login: 'signed in with a password, or more strongly', passkey: 'sign with a passkey' }
const STRENGTH = { link: 'by a one-time link', chat: 'known by a chat', login: 'signed in', passkey: 'with a passkey' }
const section = (title, ...body) => h('section.part', null, h('h3', null, title), body)
export const shortDigest = digest => (/^sha256:(.{4})(.{4})(.{4})(.{4})/.exec(digest) || [, digest]).slice(1).join(' ')
export const BARRED = {
  not_asked: 'Others are asked for this, so you cannot decide it.',
  four_eyes: 'The agent works for you, so somebody else has to approve it. You can reject it.',
  strength: 'To approve this, sign in with your user name and password. You can reject it.',
}
const STRENGTHS = Object.keys(STRENGTH)
/** Why whoever is signed in cannot approve it, a key of BARRED; empty if they can. */
export function barred({ rule, requested_by: by }, person = state.person) {
  if (!rule || !person?.groups) return ''
  if ((rule.people.length || rule.groups.length) && !rule.people.includes(person.id) && !rule.groups.some(g => person.groups.includes(g))) return 'not_asked'
  if (rule.four_eyes && (person.id === by.id || person.id === by.owner)) return 'four_eyes'
  const wanted = rule.min_strength
  return wanted !== 'passkey' && STRENGTHS.indexOf(person.strength || 'link') < STRENGTHS.indexOf(wanted) ? 'strength' : ''
}

/** What the card offers whoever is signed in: what the server takes from them, as in review.py. */
export function offers(request, person = state.person) {
  if (request.status !== 'pending') return []
  const { kind, options, action } = request, has = power => !person?.powers || person.powers.includes(power), bar = barred(request, person)
  const answers = options.map(o => [`option:${o.value}`, o.approves])
  if (kind === 'approval') answers.push(...options.length ? [] : [['approve', true], ['respond', false]], ...action ? [['edit', true]] : [])
  else if (kind === 'input') answers.push(['respond', true])
  answers.push(['reject', false], ['ignore', false])
  return [
    ...has('decide') && bar !== 'not_asked' ? [...answers.filter(([, yes]) => !bar || !yes).map(([name]) => name), ...!bar && mayRemember(request) ? ['remember'] : []] : [],
    ...has('submit') ? ['cancel'] : [], ...has('decide') || has('manage') ? ['stop'] : [],
  ]
}

function whom(rule, names, me) {
  const known = rule.people.filter(p => p in names).map(p => p === me ? 'you' : names[p])
  for (const p of rule.people) if (p === me && !(p in names)) known.push('you')
  const unknown = rule.people.length - known.length
  if (unknown) known.push(`${unknown} ${known.length ? 'more ' : ''}${unknown === 1 ? 'person' : 'people'} by name`)
  if (rule.groups.length) known.push(`the group${rule.groups.length > 1 ? 's' : ''} ${rule.groups.join(' and ')}`)
  return known.length === 1 ? known[0] : `${known.slice(0, -1).join(', ')} and ${known.at(-1)}`
}

/** What a rule takes, a sentence each. */
export function demands(rule, names = state.names, me = state.person?.id ?? '') {
  if (!rule) return []
  const several = rule.approvals > 1
  return [
    several && `It takes ${rule.approvals} different people.`,
    (rule.people.length > 0 || rule.groups.length > 0) && `Only ${whom(rule, names, me)} may decide.`,
    rule.four_eyes && 'Four eyes: whoever the agent works for may not approve it.',
    rule.min_strength in KNOWN_BY && `${rule.min_strength === 'passkey' ? 'Approvers' : 'Whoever approves has to be'} ${KNOWN_BY[rule.min_strength]}.`,
    several && (rule.veto ? 'One rejection ends it.' : 'So many rejections end it, too.'),
    rule.grant_seconds != null && `An approval can be used for ${span(rule.grant_seconds)}.`,
  ].filter(Boolean)
}

/** What comes about if nobody answers in time, as the end of a sentence. */
export function silence({ on_timeout: means, escalate_to: further, escalated_at: since }, names = state.names, me = state.person?.id ?? '') {
  if (means === 'reject') return 'it is rejected and the agent is told no'
  if (means === 'approve') return 'it is approved, as the policy says, and the agent goes on'
  if (means === 'escalate' && further && !since) return `${further.people.length || further.groups.length ? whom(further, names, me) : 'further people'} will be asked, too`
  return means === 'park' ? 'it goes on waiting, without a deadline' : 'the request expires and the agent is told no'
}

/** The action as it was approved, or as it would be now. */
export function shown({ action, decision: d, proposed_args: args, proposed_digest: digest }) {
  if (!action) return null
  if (d) return d.args ? { ...action, tool_args: d.args, digest: d.digest || action.digest } : action
  return args ? { ...action, tool_args: args, digest: digest || action.digest } : action
}

export function mayRemember({ action, rule, kind, options, status, proposed_args: args }) {
  if (!action || status !== 'pending' || kind !== 'approval' || options.length || args || action.risk_class === 'high') return false
  return !rule || (rule.approvals < 2 && !rule.four_eyes && rule.min_strength !== 'passkey' && !(rule.groups.length && !rule.people.length))
}

/** Whoever changed the arguments that are voted on. */
export const changer = ({ votes, proposed_digest: digest }) => votes.findLast(v => v.type === 'edit' && v.digest === digest)?.by
export const myVote = request => state.person && request.votes.find(v => v.by.id === state.person.id)

const named = by => h('span', { title: spelled(by.id) }, by.id === state.person?.id ? 'You' : visible(by.name || by.id))
const WORD = { approve: 'approved', edit: 'approved with changes', reject: 'rejected', ignore: 'ignored it' }

/** Who has said what so far. */
export function votesView(request) {
  const n = counted(request)
  if (!n) return null
  return section(`Votes: ${n[0]} of ${n[1]}`,
    request.votes.length ? h('ol.votes', null, request.votes.map(v => h('li', null,
      h(`span.result.${v.approves ? 'good' : 'no'}`, null, icon(v.approves ? 'check' : 'x'), h('b', null, named(v.by))), ' ',
      v.option != null ? ['chose ', visible(request.options.find(o => o.value === v.option)?.label ?? v.option)] : WORD[v.type] || 'answered',
      h('span.quiet', null, ` ${through(v.channel)}${v.strength ? `, ${STRENGTH[v.strength]}` : ''}, `, time(v.at)),
      v.reason && h('blockquote.said', { dir: 'auto' }, visible(v.reason))))) : h('p.quiet', null, 'Nobody has voted yet.'))
}

/** Arguments that somebody changed, and what they were. */
export function proposedView(request) {
  if (!request.proposed_args || request.decision) return null
  const by = changer(request)
  return section([by ? named(by) : 'Somebody', ' changed the arguments'], diffView(request.action.tool_args, request.proposed_args),
    h('p.quiet', null, 'Asked → proposed. You decide on the proposed ones.'))
}

/** Asked again: what is not as it was. */
export function reopenedView(request) {
  if (!request.reopens) return null
  const names = Object.entries(request.changes || {})
  return h('div.note.warn.reopened', null, icon('warn'), h('div', null,
    h('p', null, h('b', null, 'Asked again. '), names.length ? `${plural(names.length, 'fact')} changed since ` : 'Nothing is known to have changed since ', h('a', { href: `/requests/${request.reopens}`, data: { open: request.reopens } }, 'it was asked first'), '.'),
    names.length > 0 && h('dl.diff', null, names.map(([name, [before, after]]) => [h('dt', null, visible(name)), h('dd', null,
      before === null ? h('span.tag', null, 'not told') : h('del', null, visible(text(before))), ' ', after === null ? h('span.tag', null, 'not told') : h('ins', null, visible(text(after))))]))))
}
const text = v => typeof v === 'string' ? v : JSON.stringify(v)

export const factsView = ({ facts }) => facts && Object.keys(facts).length > 0 && section('What holds, as the agent tells it',
  argsView(facts), h('p.quiet', null, 'Compared again before it runs: if it differs then, you are asked again.'))

/** waiting | claimed | unclaimed, or '' where there is nothing to run. */
export function phase({ grant }) {
  return !grant ? '' : grant.claimed_at ? 'claimed' : Date.parse(grant.expires_at) <= now() ? 'unclaimed' : 'waiting'
}
/** Somebody by name, with the id as its title; who is not known yet is asked for, and stays an id if the server does not know them. */
function someone(id) {
  const el = h('span', { title: spelled(id) }, visible(state.names[id] || id))
  if (!(id in state.names) && state.person?.powers?.includes('read')) learn(id).then(name => el.replaceChildren(visible(name)), () => {})
  return el
}
const learning = new Map()
function learn(id) {
  if (!learning.has(id)) learning.set(id, names([id]).then(answer => { if (!answer.ok) throw answer; return state.names[id] = answer.body.names[id] || id }).catch(error => { learning.delete(id); throw error }))
  return learning.get(id)
}
const claimer = ({ grant: g, requested_by: r }) => r && g.claimed_by === `${r.plane}:${r.id}` ? h('span', { title: spelled(r.id) }, visible(r.name || r.id)) : someone(g.claimed_by.replace(/^(agent|person):/, ''))
const RUN = { succeeded: ['good', 'check', 'Ran'], failed: ['no', 'x', 'Failed'], unknown: ['wait', 'warn', 'Nobody knows how it ended'] }

/** From the approval to the run: asked, approved, run; and what became of it. */
export function runView(request) {
  const { action: a, grant: g, outcome: o } = request
  if (!a || !g) return null
  const at = phase(request), differs = g.digest !== a.digest, [tone, sign, word] = o ? RUN[o.status] : []
  return h('section.part.run', { 'aria-label': 'The run' }, h('h3', null, 'From the approval to the run'),
    h('ol.steps', null,
      h('li', null, h('span', null, 'Asked'), h('span.digest.mono', null, shortDigest(a.digest))),
      h('li', null, h('span', null, differs ? 'Approved, with changes' : 'Approved, as asked'), h('span.digest.mono', null, shortDigest(g.digest))),
      h(`li.${at}`, null, at === 'claimed' ? [h('span', null, 'Claimed by ', h('b', null, claimer(request)), ', ', time(g.claimed_at)), h('span.digest.mono', null, shortDigest(g.digest))]
        : at === 'waiting' ? h('span', null, 'Waiting to be claimed, for ', time(g.expires_at, 'left'), ' more') : h('span', null, 'Expired unclaimed, ', time(g.expires_at), ': it did not run')),
      at === 'claimed' && (o ? h('li', null, h('span', null, h(`span.result.${tone}`, null, icon(sign), word), ', reported ', time(o.reported_at)))
        : h('li.waiting', null, h('span', null, 'No outcome was reported yet')))),
    o?.error && h('pre.code', { tabindex: '0' }, visible(o.error)),
    o && o.result != null && (isObject(o.result) ? argsView(o.result) : h('div.said', null, valueView(o.result))),
    differs && h('details.raw-details', null, h('summary', null, 'Arguments as they were asked'), argsView(a.tool_args)))
}

const UNSEEN = new RegExp(`[\\p{C}${HIDDEN}${TAGS}]`, 'gu')
const bare = text => text.normalize('NFKC').toLowerCase().normalize('NFKC').replace(/\s+/gu, '')
const readings = name => { const seen = name.replace(UNSEEN, ''); return [bare(seen), bare([...seen.normalize('NFKC')].map(c => ALIKE.get(c) || LATIN_ALIKE.get(c) || MARKS.get(c) || c).join(''))] }
const mayBeTakenFor = (name, other) => readings(name).some(r => readings(other).includes(r))
const COVERS = { everything: () => true, agent: (s, { requested_by: by }) => [by.id, by.name].some(each => mayBeTakenFor(s.value, each)), client: (s, r) => r.client_id === s.value, session: (s, r) => r.session_id === s.value }
export const stopOf = (request, stops = state.stops) => stops.find(s => COVERS[s.kind]?.(s, request))
export const stopNote = request => { const s = request.status === 'pending' && stopOf(request); return s && h('div.note.bad.stopped', { role: 'status' }, icon('stop'), h('p', null, h('b', null, `${STOPPED[s.kind]} is stopped. `), 'It can be rejected, not approved, until an admin lifts the stop.', s.reason && [' Reason: ', visible(s.reason)], ' ', h('a', { href: '/stops' }, 'Stops'))) }

/** Whose the agent is, as its key told; and what it calls itself. */
export const asker = ({ requested_by: r, client_id: id }) => r && r.id !== 'local' ? r.name || r.id : id || 'An agent'
export function whoView(request) {
  const r = request.requested_by, owner = r?.owner
  return [
    r && [h('dt', null, 'Agent'), h('dd', { title: spelled(r.id) }, visible(r.name || r.id))],
    owner && [h('dt', null, 'Works for'), h('dd', null, owner === state.person?.id ? 'you' : someone(owner))],
    h('dt', null, 'Calls itself'), h('dd', null, request.client_id ? visible(request.client_id) : h('span.quiet', null, 'did not say')),
  ]
}
