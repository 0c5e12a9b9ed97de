/*
 * Runs before the page is painted, so that it does not flash: tells the style sheet that there is a script, and
 * takes up the theme that was chosen last.
 */

/** @type {'theme'} */
export const THEME_KEY = 'theme';

/** @param {string | null} theme null: as the system has it */
export function applyTheme(theme) {
  const root = document.documentElement;
  root.style.colorScheme = theme === 'light' || theme === 'dark' ? theme : '';
}

/** A page opened from a file may have no storage. */
export function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

document.documentElement.classList.add('has-script');
applyTheme(storedTheme());
