package outbox

import (
	"maps"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// rowScanner walks over all hashes of this drainer's partitions, page by page, and starts again
// from the first. It keeps no position within a hash, and none from one scan to the next, so that
// rows whose transactions commit late are found as well.
type rowScanner struct {
	scanning  bool
	number    uint64 // of the scan
	nextHash  uint64 // where the next page starts
	newRows   int    // rows of this scan that were not in memory
	rowsSeen  int    // rows of this scan, new or not
	idleScans int    // scans in a row that found no new rows
	nextScan  time.Time
	nextDue   time.Time // when the first row that waits for its time may go; zero: none waits

	rescanNow       bool // rows may have been added: the next scan starts at once
	preferScan      bool // the last read was a refill, so the next one is for the scan
	stoppedByLimit  bool // nothing is read for want of room; what makes room wakes the loader
	nextScanMovedUp bool // nextScan has moved up since the loader has looked at it
}

// nextAsk returns what to read now. If there is nothing, the caller asks again after wait, or when
// it is woken.
func (s *scheduler) nextAsk(now time.Time) (a Ask, wait time.Duration, ok bool) {
	scan := &s.scanner
	scan.stoppedByLimit, scan.nextScanMovedUp = false, false
	if len(s.rows) >= s.o.MaxRows || s.bytes >= s.o.MaxBytes {
		scan.stoppedByLimit = true
		return a, s.o.PollMax, false
	}
	if q := s.nextRefill(); q != nil && (!scan.preferScan || !scan.scanning) {
		scan.preferScan = true
		return s.startRead(q.hash, q.hash, q), 0, true
	}
	if !scan.scanning && !s.startScan(now) {
		return a, scan.nextScan.Sub(now), false
	}
	scan.preferScan = false
	if !s.hasRoom() {
		scan.stoppedByLimit = true
		return a, s.o.PollMax, false
	}
	for _, r := range s.hashRanges() {
		if r.last >= scan.nextHash {
			return s.startRead(max(scan.nextHash, r.first), r.last, nil), 0, true
		}
	}
	s.endScan(now)
	return a, scan.nextScan.Sub(now), false
}

// startScan starts a scan, if it is time.
func (s *scheduler) startScan(now time.Time) bool {
	scan := &s.scanner
	if !scan.rescanNow && now.Before(scan.nextScan) {
		return false
	}
	*scan = rowScanner{scanning: true, idleScans: scan.idleScans, preferScan: scan.preferScan, number: scan.number + 1}
	return true
}

func (s *scheduler) endScan(now time.Time) {
	scan := &s.scanner
	scan.scanning = false
	s.expireConditions(now)
	wait := s.o.PollMin
	switch {
	case scan.newRows == 0:
		wait = backoff.Doubled(s.o.PollMin, scan.idleScans, s.o.PollMax)
		scan.idleScans++
	case len(s.rows) > s.maxPageRows()/2: // it would mostly find these again
		scan.idleScans, wait = 0, min(5*s.o.PollMin, s.o.PollMax)
	default:
		scan.idleScans = 0
	}
	scan.nextScan = now.Add(wait)
	if !scan.nextDue.IsZero() && scan.nextDue.Before(scan.nextScan) {
		scan.nextScan = scan.nextDue
	}
}

// expireConditions ends the holds and the outage that no row is left to test: the rows were
// dropped, or other drainers have published them.
func (s *scheduler) expireConditions(now time.Time) {
	maps.DeleteFunc(s.topicHolds, func(_ string, h *topicHold) bool {
		return h.lastScan != s.scanner.number && !now.Before(h.until)
	})
	if s.scanner.rowsSeen == 0 && len(s.rows) == 0 {
		s.outage = busOutage{}
	}
}

// scanNoLater makes the next scan start at t, unless it starts earlier.
func (s *scheduler) scanNoLater(t time.Time) {
	scan := &s.scanner
	if scan.nextDue.IsZero() || t.Before(scan.nextDue) {
		scan.nextDue = t
	}
	if !scan.scanning && t.Before(scan.nextScan) {
		scan.nextScan, scan.nextScanMovedUp = t, true
	}
}

// hasRoom reports whether there is room for most of a page.
func (s *scheduler) hasRoom() bool {
	return s.o.MaxRows-len(s.rows) >= s.maxPageRows()/2 && s.bytes < s.o.MaxBytes
}

// wantsRead reports whether the loader should look again before the time that it was given.
func (s *scheduler) wantsRead() bool {
	return len(s.refillQueue) > 0 || s.scanner.nextScanMovedUp || s.scanner.stoppedByLimit && s.hasRoom()
}
