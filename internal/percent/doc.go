// Package percent encodes bytes as a mark and two capital hexadecimal digits, but for those that
// stand for themselves. An encoding in which the mark is encoded too is injective.
package percent
