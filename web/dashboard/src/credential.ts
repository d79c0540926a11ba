/** Where the key of this tab is kept: sessionStorage, so that it ends with the tab. */
export const KEY_OF_TAB = 'waggle.key';
