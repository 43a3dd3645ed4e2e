// What will happen, read from the action and never from the agent's words. The same rules as headline.py.

import { isNumber, isObject, digits } from './json.js'

const VERBS = new Set('add apply approve archive assign book build buy call cancel charge close commit copy create delete deploy destroy disable drop edit enable execute export fetch fork generate get grant import insert install invite invoke issue kill launch list merge modify move notify open order pay post promote publish purchase purge push put read reboot refund reject release remove rename reset restart restore resume revert revoke roll rollback rotate run save scale schedule send set share sign start stop submit sync terminate transfer trigger truncate uninstall update upgrade upload withdraw write'.split(' '))
const UPPER = new Set('ai api aws cpu csv db dns gpu html http https iam id ip json k8s mr pdf pr s3 sms sql ssh url vm'.split(' '))
const AMOUNT = /^(amount|total|sum|price|cost|fee|budget|quantity|count|replicas)$/
const COUNT = /^(quantity|count|replicas)$/i
const CURRENCY = /^(currency|currency_code|ccy)$/
const RECIPIENT = /^(to|cc|bcc|recipients?|beneficiary|payee|iban|account|account_number|destination|email|phone|channel|user|username|customer|to_account)$/
const TARGET = /^(environment|env|target|host|hostname|service|repo|repository|branch|cluster|namespace|database|db|table|path|file|filename|url|bucket|project|region|domain|version|resource|instance|command|subject)$/

const words = text => text.replace(/([a-z0-9])([A-Z])/g, '$1 $2').split(/[\s_\-]+/).filter(Boolean)
const nice = list => list.map(w => UPPER.has(w.toLowerCase()) ? w.toUpperCase() : w.toLowerCase()).join(' ')
const capital = text => text.charAt(0).toUpperCase() + text.slice(1)

/** "stripe.transfers.create" -> "Create transfers", "deploy_app" -> "Deploy app". */
export function phrase(tool) {
  if (!/^[\x21-\x7e ]+$/.test(tool)) return tool
  const parts = tool.split(/\.|\/|::|:|__/).map(words).filter(p => p.length)
  if (!parts.length) return tool
  const last = parts[parts.length - 1]
  if (last.length === 1 && VERBS.has(last[0].toLowerCase()) && parts.length > 1) return capital(nice([last[0], ...parts[parts.length - 2]]))
  return capital(nice(last))
}

export const label = key => key.length < 40 && /^[a-z0-9_\-A-Z]+$/.test(key) ? nice(words(key)) : key
const grouped = v => { const [, sign, whole, rest] = /^(-?)(\d+)(.*)$/.exec(digits(v)) || [, '', digits(v), '']; return sign + whole.replace(/\B(?=(\d{3})+$)/g, ',') + rest }
const short = v => (typeof v === 'string' && v.length > 0 && (v.length <= 120 || (v.length <= 240 && [...v].length <= 120)) && !v.includes('\n')) || isNumber(v)
const showing = v => isNumber(v) ? digits(v) : v

/** Amounts, recipients and targets among the arguments: [{role, key, text}]. Only what is there, nothing derived. */
export function facts(action) {
  const args = action?.tool_args
  if (!isObject(args)) return []
  const out = []
  const entries = Object.entries(args)
  const currency = entries.find(([k, v]) => CURRENCY.test(k) && typeof v === 'string' && v.length <= 8)
  for (const [key, value] of entries) {
    const k = key.toLowerCase()
    if (AMOUNT.test(k) && (isNumber(value) || (typeof value === 'string' && /^-?[\d., ]{1,24}$/.test(value)))) {
      out.push({ role: COUNT.test(k) ? 'count' : 'amount', key, text: (isNumber(value) ? grouped(value) : value) + (currency && /^(amount|total|sum|price|cost|fee|budget)$/.test(k) ? ` ${currency[1]}` : '') })
    } else if (RECIPIENT.test(k) || TARGET.test(k)) {
      const role = RECIPIENT.test(k) ? 'recipient' : 'target'
      if (short(value)) out.push({ role, key, text: String(showing(value)) })
      else if (Array.isArray(value) && value.length && value.length <= 8 && value.every(short)) out.push({ role, key, text: value.map(showing).join(', ') })
    }
  }
  const rank = { amount: 0, recipient: 1, target: 2, count: 3 }
  return out.sort((a, b) => rank[a.role] - rank[b.role]).slice(0, 6)
}

/** The card's first line. */
export function headline(request) {
  if (request.action) return phrase(request.action.tool_name)
  if (request.kind === 'choice') return `Choose one of ${request.options.length}`
  if (request.kind === 'input') {
    const n = Object.keys(request.schema?.properties || {}).length
    return request.schema ? `Fill in ${n} ${n === 1 ? 'field' : 'fields'}` : 'Answer a question'
  }
  return request.kind === 'plan' ? 'Approve a plan' : 'Say yes or no'
}

/** What a line in a list says after the phrase. */
export const gists = action => facts(action).filter(f => !COUNT.test(f.key)).slice(0, 3).map(f => f.text)

/** What one line in a list is made of. */
export const parts = ({ action, message }) => action ? [phrase(action.tool_name), ...gists(action)].filter(Boolean) : [message]
export const summary = request => parts(request).join(' · ')
