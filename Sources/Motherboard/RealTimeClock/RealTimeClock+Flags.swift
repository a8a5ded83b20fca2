/// The flags of register C: which came up since they were last looked at, and when the next will.
extension RealTimeClock {
  /// Ticks between periodic interrupts, or 0 (rate selection, table 5 of the data sheet).
  private var periodicTicks: Int64 {
    guard registers.bytes[Register.a] & 0x60 != 0x60 else { return 0 }
    let rate = registers.bytes[Register.a] & 15
    return rate == 0 ? 0 : rate < 3 ? 64 << Int64(rate) : 1 << Int64(rate - 1)
  }

  /// Sets the flags that came up until now.
  func catchUpFlags() {
    let (from, now) = (registers.flagsUntil, tick)
    guard now > from else { return }
    let period = periodicTicks
    if period > 0, now / period != from / period { registers.flags |= Bit.periodic }
    if !registers.isStopped, now >> 15 != from >> 15 {
      registers.flags |= Bit.update
      if let alarm = nextAlarm(after: from >> 15), alarm <= now >> 15 { registers.flags |= Bit.alarm }
    }
    registers.flagsUntil = now
  }

  /// The clock tick after `from` at which one of the wanted flags comes up.
  func nextFlag(of wanted: UInt8, after from: Int64) -> Int64? {
    var first: Int64?
    func offer(_ tick: Int64) { first = min(first ?? tick, tick) }
    let period = periodicTicks
    if wanted & Bit.periodic != 0, period > 0 { offer((from / period &+ 1) &* period) }
    if !registers.isStopped {
      if wanted & Bit.update != 0 { offer((from >> 15 &+ 1) << 15) }
      if wanted & Bit.alarm != 0, let alarm = nextAlarm(after: from >> 15) { offer(alarm << 15) }
    }
    return first
  }

  /// The first second after this one that the alarm bytes fit, or nil if none ever does.
  private func nextAlarm(after second: Int64) -> Int64? {
    let begin = second &+ 1
    let ofDay = (begin % CalendarTime.secondsPerDay + CalendarTime.secondsPerDay) % CalendarTime.secondsPerDay
    if let fit = alarm(from: ofDay) { return begin &+ (fit - ofDay) }
    return alarm(from: 0).map { begin &+ (CalendarTime.secondsPerDay - ofDay + $0) }
  }

  /// The first second of a day from this one on that the alarm bytes fit. Bytes from 0xC0 fit everything.
  private func alarm(from ofDay: Int64) -> Int64? {
    func fits(_ register: Int, _ byte: UInt8) -> Bool { registers.bytes[register] >= 0xC0 || registers.bytes[register] == byte }
    var (hour, minute, second) = (ofDay / 3600, ofDay / 60 % 60, ofDay % 60)
    while hour < 24 {
      if fits(Register.hoursAlarm, hourByte(hour)) {
        while minute < 60 {
          if fits(Register.minutesAlarm, encoded(minute)) {
            while second < 60 {
              if fits(Register.secondsAlarm, encoded(second)) { return hour * 3600 + minute * 60 + second }
              second += 1
            }
          }
          (minute, second) = (minute + 1, 0)
        }
      }
      (hour, minute, second) = (hour + 1, 0, 0)
    }
    return nil
  }
}
