// The small parts that pages are made of.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { number } from './format';
import { explain } from './session';

export function Badge({ status }: { status: string }) {
  return <span class={`badge is-${status.replace(/\W/g, '') || 'unknown'}`}>{status || 'unknown'}</span>;
}

export function Tile(props: { title: string; value: number | string; past?: number[] | undefined; note?: string; tone?: string; href?: string }) {
  const inner = (
    <>
      <span class="tile-title">{props.title}</span>
      <span class={`tile-value ${props.tone ?? ''}`}>{typeof props.value === 'number' ? number(props.value) : props.value}</span>
      {props.note && <span class="tile-note">{props.note}</span>}
      {props.past && props.past.length > 1 && <Sparkline values={props.past} />}
    </>
  );
  return props.href ? <a class="tile" href={props.href}>{inner}</a> : <div class="tile">{inner}</div>;
}

export function Sparkline({ values, width = 120, height = 28 }: { values: number[]; width?: number; height?: number }) {
  const top = Math.max(...values);
  const bottom = Math.min(...values);
  const span = top - bottom || 1;
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(height - 2 - ((value - bottom) / span) * (height - 4)).toFixed(1)}`);
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="spark-area" d={`M0,${height}L${points.join('L')}L${width},${height}Z`} />
      <path class="spark-line" d={`M${points.join('L')}`} />
    </svg>
  );
}

/** A share between 0 and 1. */
export function Bar({ share, tone }: { share: number | undefined; tone: 'good-high' | 'bad-high' }) {
  if (share === undefined) return <span class="faint">–</span>;
  const bad = tone === 'bad-high' ? share > 0.85 : share < 0.35;
  const warn = tone === 'bad-high' ? share > 0.65 : share < 0.6;
  return (
    <span class="bar" title={`${Math.round(share * 100)} %`}>
      <span class={`bar-fill ${bad ? 'bad' : warn ? 'warn' : 'good'}`} style={{ width: `${Math.round(share * 100)}%` }} />
      <span class="bar-text">{Math.round(share * 100)} %</span>
    </span>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Panel(props: { title: string; extra?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={`panel ${props.wide ? 'wide' : ''}`}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        {props.extra}
      </header>
      {props.children}
    </section>
  );
}

export function JsonView({ value }: { value: unknown }) {
  return <pre class="json">{JSON.stringify(value, null, 2)}</pre>;
}

export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    box.current?.showModal();
  }, []);
  return (
    <dialog ref={box} class="dialog" onClose={props.close} onClick={(event) => event.target === box.current && props.close()}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        <button class="icon" onClick={props.close} aria-label="Close">×</button>
      </header>
      {props.children}
    </dialog>
  );
}

/** A button whose work may fail: shows that it runs, and what went wrong. */
export function Action(props: { run: () => Promise<unknown>; children: ComponentChildren; danger?: boolean; confirm?: string }) {
  const [state, setState] = useState<{ busy: boolean; error: string }>({ busy: false, error: '' });
  const press = async () => {
    if (props.confirm && !window.confirm(props.confirm)) return;
    setState({ busy: true, error: '' });
    try {
      await props.run();
      setState({ busy: false, error: '' });
    } catch (error) {
      setState({ busy: false, error: explain(error) });
    }
  };
  return (
    <span class="action">
      <button class={props.danger ? 'danger' : ''} disabled={state.busy} onClick={press}>{props.children}</button>
      {state.error && <span class="error-text" role="alert">{state.error}</span>}
    </span>
  );
}

/** Rows of one height, of which only those in view exist. */
export function VirtualRows<T>(props: {
  items: T[];
  rowHeight: number;
  height: string;
  head: ComponentChildren;
  row: (item: T) => ComponentChildren;
  columns: string;
  empty: ComponentChildren;
}) {
  const [top, setTop] = useState(0);
  const [view, setView] = useState(800);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current!;
    const observer = new ResizeObserver(() => setView(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const spare = 8;
  const first = Math.max(0, Math.floor(top / props.rowHeight) - spare);
  const last = Math.min(props.items.length, Math.ceil((top + view) / props.rowHeight) + spare);
  return (
    <div class="rows" ref={box} style={{ maxHeight: props.height }} onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      role="table" aria-rowcount={props.items.length}>
      <div class="rows-head" role="row" style={{ gridTemplateColumns: props.columns }}>{props.head}</div>
      {props.items.length === 0 && <Empty>{props.empty}</Empty>}
      <div style={{ height: `${props.items.length * props.rowHeight}px`, position: 'relative' }}>
        <div style={{ transform: `translateY(${first * props.rowHeight}px)` }}>
          {props.items.slice(first, last).map((item) => props.row(item))}
        </div>
      </div>
    </div>
  );
}
