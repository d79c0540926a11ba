/** 1,234 · 12.3 k · 4.56 M: four characters or so, whatever the size. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 1 ? 1 : 2);
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

export function ago(time: string | undefined, now: number): string {
  if (!time) return 'never';
  const seconds = (now - Date.parse(time)) / 1000;
  if (Number.isNaN(seconds)) return 'unknown';
  if (seconds < 1) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

export function clock(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleTimeString('en-GB', { hour12: false });
}

/** "waggle_commit_p99_ms" → "commit p99 ms" */
export function label(key: string): string {
  return key.replace(/^waggle_/, '').replace(/[._]+/g, ' ');
}

/** A figure of the hub, as its name says what it is. */
export function figure(key: string, value: number): string {
  if (/bytes/.test(key)) return key.endsWith('/s') ? `${bytes(Math.round(value))}/s` : bytes(value);
  if (/seconds$/.test(key)) return duration(value);
  if (/_us$/.test(key)) return value >= 1000 ? `${number(value / 1000)} ms` : `${number(value)} µs`;
  return number(value);
}
