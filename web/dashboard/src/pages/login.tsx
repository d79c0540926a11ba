import { useEffect, useRef, useState } from 'preact/hooks';
import { login, type Session } from '../session';

export function Login({ enter, note }: { enter: (session: Session) => void; note: string }) {
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(note);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      enter(await login(key.trim()));
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form class="login-card" onSubmit={submit}>
        <h1><Logo /> Waggle</h1>
        <label for="key">API key or token</label>
        <input id="key" ref={field} type="password" autocomplete="off" spellcheck={false} value={key}
          onInput={(event) => setKey(event.currentTarget.value)} />
        <button class="primary" disabled={busy || key.trim() === ''}>{busy ? 'Connecting…' : 'Connect'}</button>
        {error && <p class="error-text" role="alert">{error}</p>}
        <p class="faint">
          The admin key was printed at the hub’s first start and stands in <code>admin.key</code> of its data folder.
          It is kept in this tab only.
        </p>
      </form>
    </main>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path fill="var(--accent)" d="M16 2 28 9v14l-12 7L4 23V9z" />
      <path fill="none" stroke="#1a1d24" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" d="M8.5 12.5 12 20l4-8 4 8 3.5-7.5" />
    </svg>
  );
}
