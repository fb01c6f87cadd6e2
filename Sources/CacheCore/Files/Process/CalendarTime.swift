internal import Glibc

/// A moment in the calendar of UTC.
package struct CalendarTime: Sendable {
    package let year: Int
    /// 0 is January.
    package let month: Int
    /// 1 to 31.
    package let day: Int
    /// 0 is Sunday.
    package let weekday: Int
    package let hour: Int
    package let minute: Int
    package let second: Int

    package init(secondsSince1970: Int) {
        var seconds = secondsSince1970
        var parts = tm()
        gmtime_r(&seconds, &parts)
        year = 1900 + Int(parts.tm_year)
        month = Int(parts.tm_mon)
        day = Int(parts.tm_mday)
        weekday = Int(parts.tm_wday)
        hour = Int(parts.tm_hour)
        minute = Int(parts.tm_min)
        second = Int(parts.tm_sec)
    }
}
