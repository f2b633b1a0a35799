/* What Streamlit leaves out around stars and addresses on the page For you. It runs once in a browser's page.

   Names: each group of stars is named after its film, which stands before it. Focus: stars that go leave the focus to
   those that come in their place. Addresses: on the way to another page, Streamlit first gives this page the other
   one's parts; that address is left out, so that the browser's Back finds the list at once. */
(() => {
  if (window.mrStars) return;
  window.mrStars = true;
  const groups = '[data-testid="stFeedback"] [role="radiogroup"]';
  const listed = (group) => !!group.closest('[data-testid="stTabs"]');
  const beside = (group) => [...document.querySelectorAll(groups)].filter((each) => listed(each) === listed(group));
  let left = null; // where the focus was: among the cards or not, and the number there

  const name = () => {
    let film = '';
    for (const each of document.querySelectorAll(`p.mr-unseen, .mr-text, ${groups}`)) {
      if (!each.matches(groups)) film = (each.querySelector('bdi') ?? each).textContent;
      else if (each.dataset.film !== film) {
        each.dataset.film = film;
        each.setAttribute('aria-label', `Your stars for ${film}`);
      }
    }
  };
  const refocus = () => {
    if (!left || document.activeElement !== document.body) return;
    const found = [...document.querySelectorAll(groups)].filter((each) => listed(each) === left.listed);
    found[Math.min(left.place, found.length - 1)]?.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  };
  document.addEventListener('focusin', ({ target }) => {
    const group = target.closest(groups);
    left = group && { listed: listed(group), place: beside(group).indexOf(group) };
  });
  document.addEventListener('focusout', ({ target }) =>
    setTimeout(() => {
      if (target.isConnected && document.activeElement === document.body) left = null; // it was left on purpose
    }),
  );
  new MutationObserver(() => {
    name();
    refocus();
  }).observe(document.body, { childList: true, subtree: true });
  name();

  const here = location.pathname;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const next = new URL(url ?? '', location.href);
    const stays = location.pathname === here && next.pathname === here;
    const was = new URLSearchParams(location.search).has('user');
    const is = next.searchParams.has('user');
    if (stays && was && !is) return;
    if (stays && !was && is) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
})();
