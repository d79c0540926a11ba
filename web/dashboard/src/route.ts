// Routes live behind the hash, filters and all, so that an address can be shared:
//     #/agents?status=stale&q=bee      #/agents/bee-1      #/channels/news.today

import { useEffect, useState } from 'preact/hooks';

export interface Route {
  page: string;
  id: string | undefined;
  query: Record<string, string>;
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', ...rest] = path.split('/');
  const id = rest.join('/');
  return {
    page: page || 'overview',
    id: id === '' ? undefined : decode(id),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

export function routeText({ page, id, query }: { page: string; id?: string | undefined; query?: Record<string, string> }): string {
  const kept = Object.entries(query ?? {}).filter(([, value]) => value !== '');
  const search = new URLSearchParams(kept).toString();
  return `#/${page}${id === undefined ? '' : `/${encodeURIComponent(id)}`}${search && `?${search}`}`;
}

/** A hand-typed address need not be well encoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}

export function go(target: { page: string; id?: string; query?: Record<string, string> }): void {
  location.hash = routeText(target);
}

/** Changes filters of the page that is shown without filling the history with every key pressed. */
export function setQuery(route: Route, change: Record<string, string>): void {
  history.replaceState(null, '', routeText({ ...route, query: { ...route.query, ...change } }));
  dispatchEvent(new HashChangeEvent('hashchange'));
}
