const MINUTES = {
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23'
} as const;

/** The time of day in the reader's time zone: '18:20'. */
export const TO_THE_MINUTE = new Intl.DateTimeFormat(undefined, MINUTES);

/** '18:20:05'. */
export const WITH_SECONDS = new Intl.DateTimeFormat(undefined, {
  ...MINUTES,
  second: '2-digit'
});
