package commandline

import "strings"

// Nearest returns the valid name that word is likely a misspelling of, or "".
func Nearest(word string, valid []string) string {
	word = strings.ToLower(word)
	best, least := "", 3
	for _, v := range valid {
		if d := distance(word, strings.ToLower(v)); d < least && d < max(2, len(v)/2+1) {
			best, least = v, d
		}
	}
	return best
}

// distance is how many letters must be changed, put in, left out, or swapped with the next to turn
// a into b, capped at 3.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			next[j+1] = min(row[j]+same, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
