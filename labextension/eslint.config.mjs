import jupyter from '@jupyter/eslint-plugin';
import tseslint from 'typescript-eslint';

const HTML_SINKS = ['innerHTML', 'outerHTML', 'insertAdjacentHTML'];
const SINK_MESSAGE =
  'Names come from storage and may be hostile: write text by React or textContent.';

export default tseslint.config(
  { ignores: ['lib', 'node_modules'] },
  ...tseslint.configs.recommended,
  { plugins: { jupyter } },
  ...jupyter.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {
      parserOptions: {
        projectService: true,
        tsconfigRootDir: import.meta.dirname
      }
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      curly: ['error', 'all'],
      eqeqeq: 'error',
      // The panels are needed when the plugins start, and the bundle is small.
      'jupyter/prefer-lazy-imports': 'off',
      'max-lines': ['error', 400],
      'no-restricted-properties': [
        'error',
        ...HTML_SINKS.map(property => ({ property, message: SINK_MESSAGE }))
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'JSXAttribute[name.name="dangerouslySetInnerHTML"]',
          message: SINK_MESSAGE
        },
        {
          selector: 'Property[key.name="dangerouslySetInnerHTML"]',
          message: SINK_MESSAGE
        }
      ]
    }
  },
  {
    // node:test hands back promises that its runner awaits.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'off',
      'jupyter/no-untranslated-string': 'off'
    }
  }
);
