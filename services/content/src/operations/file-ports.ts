import type { KeptFile, KeptPart, Loss, ReportLines } from '../domain/import-report.js';
import type { SourcePart } from '../domain/source-parts.js';
import type { Attempt, ImportJob } from './ports.js';

/** A page of an import's lines: from an ordinal on, at most so many. */
export interface LinePage {
  readonly from: number;
  readonly limit: number;
}

/** A file that belongs to a course. */
export interface StoredAsset extends KeptFile {
  name: string;
}

/** The lines of imports' reports, and the files that courses have. */
export interface ImportLines {
  /** Writes lines of an attempt, those that are there already once; false when another attempt has followed. */
  save(attempt: Attempt, lines: ReportLines): Promise<boolean>;
  losses(job: ImportJob, page: LinePage): Promise<(Loss & { ordinal: number })[]>;
  kept(id: string, page: LinePage): Promise<{ ordinal: number; part: KeptPart }[]>;
  /** What the source of an import said, part by part in document order, after an ordinal (-1: from the first). */
  parts(id: string, after: number, limit: number): Promise<{ ordinal: number; part: SourcePart }[]>;
  /** A file as a course has it. */
  asset(courseId: string, hash: string): Promise<StoredAsset | undefined>;
  /** The courses that have a file, at most so many. */
  coursesOf(hash: string, limit: number): Promise<string[]>;
}

/** Files by the hash of their bytes, for all processes of the service. */
export interface Files {
  /** Stores what `read` yields, each time the same; answers when it is durable. Throws insufficient_storage STORAGE_FULL. */
  put(read: () => AsyncIterable<Uint8Array>): Promise<{ hash: string; bytes: number }>;
  /** Removes what processes that died had not finished, when it has not been written to for so long. */
  sweep(minAgeMs: number): Promise<void>;
  /** The bytes of a file. Throws internal STORED_FILE_MISSING, and STORED_FILE_CORRUPT before its last bytes. */
  read(hash: string): AsyncIterable<Uint8Array>;
}
