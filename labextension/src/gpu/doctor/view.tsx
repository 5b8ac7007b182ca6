import { Clipboard } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { DoctorReport, Finding, Level } from '../../api';
import { Button, Notice } from '../../components/notice';
import { Words, wordsFor } from '../../components/words';
import { baseName, printable } from '../../format';
import { MARKS, copyOf, linkOf, worstFirst } from './findings';
import type { DoctorModel, Patient } from './model';

/** An examination is given this long by the server. */
const LONGEST_SECONDS = 15;

interface IDoctorViewProps {
  readonly model: DoctorModel;
  readonly onRun: () => void;
  readonly trans: TranslationBundle;
}

export function DoctorView(props: IDoctorViewProps): React.JSX.Element {
  const { model, onRun, trans } = props;
  const { report, problem, runningSince } = model;
  return (
    <>
      <div className="jp-gpuext-Toolbar">
        {runningSince === null ? (
          <Button
            primary
            label={report ? trans.__('Run again') : trans.__('Run doctor')}
            onClick={onRun}
          />
        ) : (
          <Button label={trans.__('Cancel')} onClick={() => model.cancel()} />
        )}
        {report ? (
          <CopyButton text={report.report} report trans={trans} />
        ) : null}
        {runningSince === null ? null : (
          <Progress since={runningSince} trans={trans} />
        )}
      </div>
      {problem ? (
        <Notice tone="error" {...wordsFor(problem, trans)}>
          <Button label={trans.__('Try again')} onClick={onRun} />
        </Notice>
      ) : null}
      {report ? (
        <Report report={report} patient={model.patient} trans={trans} />
      ) : null}
      {!report && !problem && runningSince === null ? (
        <p className="jp-gpuext-Quiet">{trans.__('Nothing was examined.')}</p>
      ) : null}
    </>
  );
}

function Progress(props: {
  readonly since: number;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { since, trans } = props;
  const [now, setNow] = React.useState(Date.now);
  React.useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 500);
    return () => window.clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.floor((now - since) / 1000));
  return (
    <>
      <progress
        max={LONGEST_SECONDS}
        value={Math.min(seconds, LONGEST_SECONDS - 1)}
      />
      <span className="jp-gpuext-Quiet" role="status">
        {trans.__('Asking driver, server and kernel…')}{' '}
        <span aria-hidden="true">{trans.__('%1 s', seconds)}</span>
      </span>
    </>
  );
}

function Report(props: {
  readonly report: DoctorReport;
  readonly patient: Patient | null;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { report, patient, trans } = props;
  const findings = worstFirst(report.findings);
  const fine = findings.filter(({ level }) => level === 'ok');
  const rest = findings.filter(({ level }) => level !== 'ok');
  return (
    <>
      <div
        className="jp-gpuext-Verdict"
        data-level={report.verdict}
        role="status"
      >
        <Mark level={report.verdict} trans={trans} />
        <div>
          <h3>
            <Words text={printable(report.title)} />
          </h3>
          <p className="jp-gpuext-Quiet">{examined(patient, trans)}</p>
        </div>
      </div>
      <ul className="jp-gpuext-Findings">
        {rest.map((finding, index) => (
          <FindingItem
            key={`${finding.id} ${index}`}
            finding={finding}
            trans={trans}
          />
        ))}
      </ul>
      {fine.length === 0 ? null : (
        <details className="jp-gpuext-Details" open={rest.length === 0}>
          <summary>
            {trans._n('%1 check is fine', '%1 checks are fine', fine.length)}
          </summary>
          <ul className="jp-gpuext-Findings">
            {fine.map((finding, index) => (
              <FindingItem
                key={`${finding.id} ${index}`}
                finding={finding}
                trans={trans}
              />
            ))}
          </ul>
        </details>
      )}
      <details className="jp-gpuext-Details">
        <summary>{trans.__('The report as text')}</summary>
        <pre tabIndex={0}>{report.report}</pre>
      </details>
    </>
  );
}

function examined(patient: Patient | null, trans: TranslationBundle): string {
  return patient === null
    ? trans.__(
        'Examined: this server. Open a notebook to examine its kernel too.'
      )
    : trans.__(
        'Examined: this server and the kernel of %1.',
        printable(baseName(patient.path))
      );
}

function FindingItem(props: {
  readonly finding: Finding;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { finding, trans } = props;
  return (
    <li className="jp-gpuext-Finding" data-level={finding.level}>
      <Mark level={finding.level} trans={trans} />
      <div>
        <h4>
          <Words text={finding.title} />
        </h4>
        {finding.evidence === '' ? null : (
          <p className="jp-gpuext-Evidence">
            <Words text={finding.evidence} />
          </p>
        )}
        {finding.fix === '' ? null : (
          <div className="jp-gpuext-Fix">
            <p>
              <Words text={finding.fix} />
            </p>
            <CopyButton text={copyOf(finding.fix)} trans={trans} />
          </div>
        )}
        <Source source={finding.source} trans={trans} />
      </div>
    </li>
  );
}

function Source(props: {
  readonly source: string;
  readonly trans: TranslationBundle;
}): React.JSX.Element | null {
  const { source, trans } = props;
  const link = linkOf(source);
  if (link === null) {
    return source === '' ? null : (
      <p className="jp-gpuext-Quiet">{trans.__('Source: %1', source)}</p>
    );
  }
  return (
    <a href={link} target="_blank" rel="noopener noreferrer">
      {trans.__('Source: %1', new URL(link).hostname)}
    </a>
  );
}

function Mark(props: {
  readonly level: Level;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { level, trans } = props;
  const words: Readonly<Record<Level, string>> = {
    ok: trans.__('fine'),
    note: trans.__('note'),
    warning: trans.__('warning'),
    error: trans.__('error')
  };
  return (
    <span className="jp-gpuext-Mark" role="img" aria-label={words[level]}>
      {MARKS[level]}
    </span>
  );
}

function CopyButton(props: {
  readonly text: string;
  /** The whole report, not one fix. */
  readonly report?: boolean;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { text, report, trans } = props;
  const [copied, setCopied] = React.useState('');
  const copy = () => {
    Clipboard.copyToSystem(text);
    setCopied(text);
  };
  const label = report ? trans.__('Copy report') : trans.__('Copy');
  return (
    <Button
      label={copied === text ? trans.__('Copied') : label}
      onClick={copy}
    />
  );
}
