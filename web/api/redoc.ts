declare const Redoc: { init(url: string, options: object, element: Element): void };

Redoc.init(
  '/openapi.json',
  {
    hideDownloadButton: false,
    sortTagsAlphabetically: true,
    nativeScrollbars: true,
    theme: {
      colors: { primary: { main: '#a86a00' } },
      typography: { fontFamily: 'system-ui, sans-serif', headings: { fontFamily: 'system-ui, sans-serif' } },
    },
  },
  document.getElementById('api')!,
);
