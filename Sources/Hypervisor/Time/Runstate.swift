import GuestMemory
import Processor

/// RUNSTATE_*.
enum Runstate: Int {
  case running = 0
  case runnable = 1
  case blocked = 2
  case offline = 3
}

/// What vcpu_runstate_info holds: the state, when it was entered, and the time spent in each, in nanoseconds.
struct RunstateAccount {
  var state = Runstate.running
  var entered: UInt64 = 0
  var times: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  mutating func enter(_ new: Runstate, at now: UInt64) {
    let spent = now > entered ? now &- entered : 0
    switch state {
    case .running: times.0 &+= spent
    case .runnable: times.1 &+= spent
    case .blocked: times.2 &+= spent
    case .offline: times.3 &+= spent
    }
    state = new
    entered = now
  }
}

extension Domain {
  /// Moves a vCPU to another run state; the guest's copy is written when it runs again.
  func setRunstate(_ v: PVCPU, _ state: Runstate) {
    v.runstate.enter(state, at: systemTime)
    if state == .running { writeRunstate(v) }
  }

  /// Writes the registered runstate area (48 bytes), in the kernel's address space.
  func writeRunstate(_ v: PVCPU) {
    guard v.runstateArea != 0, v.kernelMode else { return }
    _ = writeRunstate(v, to: v.runstateArea, by: v)
  }

  /// - Parameter writer: the vCPU whose address space `address` is in.
  func writeRunstate(_ v: PVCPU, to address: UInt64, by writer: PVCPU) -> Bool {
    let updating: UInt64 = 1 << 63
    let r = v.runstate
    var image = (UInt64(r.state.rawValue), r.entered, r.times.0, r.times.1, r.times.2, r.times.3)
    let announced = assists & Assist.runstateUpdateFlag != 0
    if announced { image.1 |= updating }
    guard withUnsafeBytes(of: &image, { writer.vcpu.writeGuest(address, from: $0) }) else { return false }
    return !announced || writer.vcpu.writeGuest(address &+ 8, r.entered)
  }
}
