// What deceives the eye: the same tables as visible/tables.py, which says more; a test compares them.

export const NAMES = {
  '\u061c': 'ALM', '\u200e': 'LRM', '\u200f': 'RLM', '\u202a': 'LRE', '\u202b': 'RLE', '\u202c': 'PDF',
  '\u202d': 'LRO', '\u202e': 'RLO', '\u2066': 'LRI', '\u2067': 'RLI', '\u2068': 'FSI', '\u2069': 'PDI',
  '\u200b': 'ZWSP', '\u200c': 'ZWNJ', '\u200d': 'ZWJ', '\u2060': 'WJ', '\ufeff': 'BOM', '\u00ad': 'SHY',
  '\u2028': 'LS', '\u2029': 'PS', '\x00': 'NUL', '\x08': 'BS', '\x0d': 'CR', '\x1b': 'ESC', '\x7f': 'DEL',
  '\x0a': 'LF', '\x09': 'TAB', '\x07': 'BEL',
}
export const WHY = {
  bidi: 'turns the reading direction, so text can look different from what it is',
  hidden: 'cannot be seen, but it is there',
  control: 'is a control character, which programs may act on',
  escape: 'is a command to terminals, not text',
  space: 'looks like a space, but is another character',
  blank: 'pushes what follows out of sight',
  tags: 'carries hidden text, which people do not see and models read',
  stack: 'are piled on one letter, and cover what is near',
  line: 'begins a line of its own where one line is meant',
  more: 'stand here with whatever deceives spelled out, since there is too much of it to mark',
}
export const BIDI = '\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069'
export const HIDDEN = '\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0080}-\u{e0fff}'
export const SELECTORS = '\ufe00-\ufe0f\u{e0100}-\u{e01ef}'
export const CONTROL = '\\0-\x08\x0b-\x1f\x7f-\u009f\ud800-\udfff\ue000-\uf8ff\u{f0000}-\u{10ffff}'
export const SPACE = '\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
export const TAGS = '\u{e0000}-\u{e007f}'
export const RIGHT_TO_LEFT = '\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc'
export const JOINED = '\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc'
export const UNSPACED = '\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff'
export const CJK = '\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff\u{20000}-\u{3ffff}'
export const STACKED = '\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f'
export const LATIN = 'A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1d25\u1d6b-\u1dbf\u1e00-\u1eff\ua722-\ua7ff\uab30-\uab64'
export const WIDE = '\uff10-\uff5a\u{1d400}-\u{1d7ff}\u24b6-\u24c1\u24c3-\u24e9\u249c-\u24b5\u{1f110}-\u{1f12b}'
export const ORDINARY = '\u00aa\u00b2\u00b3\u00b9\u00ba\u00bc-\u00be\u2026\u2070-\u209c\u2116\u2120\u2122'
export const FLAGS = ['gbeng', 'gbsct', 'gbwls']
export const SCRIPTS = [
  ['Greek', '\u0370-\u03e1\u03f0-\u03ff\u1f00-\u1fff'],
  ['Coptic', '\u03e2-\u03ef\u2c80-\u2cff'],
  ['Cyrillic', '\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f'],
  ['Armenian', '\u0530-\u058f'],
  ['Georgian', '\u10a0-\u10ff\u1c90-\u1cbf'],
  ['Cherokee', '\u13a0-\u13ff\uab70-\uabbf'],
  ['Canadian', '\u1400-\u167f'],
  ['Runic', '\u16a0-\u16ff'],
  ['Tifinagh', '\u2d30-\u2d7f'],
  ['Lisu', '\ua4d0-\ua4ff'],
  ['Bamum', '\ua6a0-\ua6ff'],
]
export const ALIKE = new Map((
  'ͺi ͿJ ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX αa γy ιi κk νv οo ρp σo υu χx ϒY ϜF Ϩ2 ϱp ϲc ϳj ϹC ' +
  'ϺM ЅS ІI ЈJ АA ВB ЕE З3 КK МM НH ОO РP СC ТT УY ХX Ьb аa б6 гr еe кk оo рp сc уy хx ѕs іi јj ѡw ѴV ' +
  'ѵv ҮY үy һh ҽe ӀI ӏl Ӡ3 ԁd ԌG ԚQ ԛq ԜW ԝw ՍU ՏS ՕO աw գq զq հh ոn ռn սu ցg քf օo ყy ჿo ᎠD ᎡR ᎢT Ꭵi ' +
  'ᎩY ᎪA ᎫJ ᎬE ᎳW ᎷM ᎻH ᎽY ᏀG Ꮒh ᏃZ Ꮞ4 Ꮟb ᏒR ᏔW ᏕS ᏙV ᏚS ᏞL ᏟC ᏢP ᏦK Ꮷd Ꮾ6 ᏳG ᏴB ᐯV ᑌU ᑭP ᑯd ᑲb ᒍJ ᒪL ' +
  'ᒿ2 ᕁx ᕼH ᕽx ᖇR ᖯb ᖴF ᗅA ᗞD ᗪD ᗰM ᗷB ᚷX ᛁl ᛕK ᛖM ᴦr ιi ⲅr ⲎH ⲒI ⲔK ⲘM ⲚN ⲞO ⲟo ⲢP ⲣp ⲤC ⲥc ⲦT ⲨY ⲬX ' +
  'Ⳋ9 Ⳍ3 ⳐL Ⳓ6 ⴸV ⴹE ⵏl ⵔO ⵕQ ⵝX ꓐB ꓑP ꓒd ꓓD ꓔT ꓖG ꓗK ꓙJ ꓚC ꓜZ ꓝF ꓟM ꓠN ꓡL ꓢS ꓣR ꓦV ꓧH ꓪW ꓫX ꓬY ꓮA ꓰE ' +
  'ꓲI ꓳO ꓴU Ꙅ2 ꙇi ꛟV ꛯ2 ꭵi ꮁr ꮃw ꮓz ꮩv ꮪs ꮯc ').trim().split(' ').map(pair => [...pair]))
export const LATIN_ALIKE = new Map((
  'ıi Ƅb ƍg Ɩl ƦR Ƨ2 Ʒ3 Ƽ5 ƽs ǀl Ȝ3 Ȣ8 ȣ8 ɑa ɡg ɣy ɩi ɪi ɯw ʋu ʏy ᴄc ᴏo ᴑo ᴜu ᴠv ᴡw ᴢz ᶃg ᶌy ẝf ỿy ꜱs ' +
  'Ꝛ2 Ꝫ3 Ꝯ9 ꞘF ꞙf ꞟu Ɜ3 ꞲJ ꞳX ꞴB ꬲe ꬵf ꬽo ꭇr ꭈr ꭎu ꭒu ꭚy ').trim().split(' ').map(pair => [...pair]))
export const MARKS = new Map([
  ['\u2024', '.'], ['\u3002', '.'], ['\uff61', '.'], ['\ua4f8', '.'], ['\u0701', '.'], ['\u2044', '/'],
  ['\u2215', '/'], ['\u29f8', '/'], ['\u2571', '/'], ['\u2236', ':'], ['\ua789', ':'], ['\u02d0', ':'],
  ['\u0589', ':'], ['\u2010', '-'], ['\u2011', '-'], ['\u2043', '-'], ['\u02d7', '-'], ['\u2212', '-'],
  ['\u01c3', '!'], ['\u037e', ';'], ['\u2216', '\\'], ['\u29f5', '\\'], ['\u2217', '*'],
])
export const WEAK = 'бгЗЬѡҮүҽӠҺγσυιϒͺϱ'
