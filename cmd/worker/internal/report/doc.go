// Package report renders what a run has measured as one HTML page with plots, which opens without a
// network.
//
// A [Page] is a plain model: a verdict, facts, tables, charts and notes. [Page.Render] writes it as
// one file with its styles inside. The file loads nothing and runs no script, and its own Content
// Security Policy forbids both. It follows the reader's choice of a light or a dark scheme, can be
// printed, and is readable on a telephone.
//
// Each chart is an SVG with a title and a description, and has its data in a table below it. Lines
// differ by their dashes as well as by their colour. A line of more than some thousand points is
// thinned out to what can be seen: the extremes stay.
//
// Names and texts may come from anywhere: they are escaped.
package report
