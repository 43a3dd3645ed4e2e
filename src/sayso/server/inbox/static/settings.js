// The settings pages: what a copy button copies, and one open form at a time.

document.body.classList.add('scripted')
for (const button of document.querySelectorAll('[data-copy]')) button.addEventListener('click', async () => {
  const source = document.getElementById(button.dataset.copy), word = button.querySelector('span')
  try {
    await navigator.clipboard.writeText(source.textContent)
    word.textContent = 'Copied'
  } catch {
    getSelection().selectAllChildren(source)
    word.textContent = 'Press Ctrl C'
  }
})
document.querySelector('.places [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
document.addEventListener('toggle', event => {
  if (event.target.matches?.('.sure') && event.target.open) for (const other of document.querySelectorAll('.sure[open]')) if (other !== event.target) other.open = false
}, true)
