// Package arch holds the project's own rules as tests: layers of rooms, no floats near money, an
// injected clock, documented names, bounded functions and files, banned words, links that lead
// somewhere. It has no other code.
//
// A rule that must be broken once is broken in testdata, in the open: long_functions.txt may only
// shrink, and banned_words.txt says why each word is banned.
package arch
