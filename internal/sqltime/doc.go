// Package sqltime times the SQL statements of a process, by name: what sqldb and mysqldb open goes
// through it. A name is the verb and the first table of a statement (select posting, insert transfer),
// or what a caller that times a whole batch says: it never holds SQL text or a parameter, and there are
// a bounded number of them.
//
// Figures are the process's, as those of the Go runtime are: databases are opened in many rooms, and an
// operator asks which statement of the process is slow. The time of a query runs until its rows are
// closed, because until then it holds its snapshot: a reader that dawdles shows as a slow statement.
//
// A hot writer that runs prepared statements for each batch takes the bare connection (see [Unwrap])
// and tells one time for the batch: nothing is paid for each row.
package sqltime
