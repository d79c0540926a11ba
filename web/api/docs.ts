// Swagger UI over the hub's own description. The key that the dashboard was given in this tab works
// here too; nothing is kept longer than the tab.

import { KEY_OF_TAB } from '../dashboard/src/credential';

interface SwaggerUi {
  preauthorizeApiKey(scheme: string, key: string): void;
}
declare const SwaggerUIBundle: ((options: object) => SwaggerUi) & { presets: { apis: unknown } };

const ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#api',
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null, // no other server is asked
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor(request: { headers: Record<string, string>; url: string }) {
    const key = sessionStorage.getItem(KEY_OF_TAB);
    const given = Object.keys(request.headers).some((name) => /^(authorization|x-api-key)$/i.test(name));
    if (key && !given) request.headers.Authorization = `Bearer ${key}`;
    return request;
  },
});
void ui;
