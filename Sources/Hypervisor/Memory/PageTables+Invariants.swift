import GuestMemory

// The proof that direct paging is safe, by counting everything again. For tests and for hunting: it reads every table.

extension PageTables {
  /// Counts every use of every frame anew and compares.
  ///
  /// - Returns: what is wrong, nothing if all holds: each reference and type count is the number of entries, pins, table
  ///   bases, GDT and LDT pages that count on the frame, and so (types exclude each other) no page table and no descriptor
  ///   page is mapped writable by a table in use.
  public func checkInvariants() -> [String] {
    var problems: [String] = []
    let total = Int(frameCount)
    var types = [UInt32](repeating: 0, count: total)
    var refs = [UInt32](repeating: 0, count: total)
    var linear = [Int32](repeating: 0, count: total)

    func use(_ mfn: UInt64, _ type: FrameType, _ what: @autoclosure () -> String) {
      guard mfn < frameCount, frames.belongsToGuest(mfn) else {
        problems.append("\(what()) names frame \(mfn), which is not the guest's")
        return
      }
      types[Int(mfn)] += 1
      refs[Int(mfn)] += 1
      if info[Int(mfn)].type != type {
        problems.append("\(what()) counts on frame \(mfn) as \(type), but it is \(info[Int(mfn)].type)")
      }
    }

    for n in 0..<total where info[n].typeCount != 0 {
      let f = info[n]
      let mfn = UInt64(n)
      if f.flags & FrameInfo.validated == 0 { problems.append("frame \(n) is in use as \(f.type) without having been checked") }
      if f.flags & FrameInfo.pinned != 0 { use(mfn, f.type, "pin") }
      if f.flags & FrameInfo.shared != 0 { use(mfn, .writable, "Xen") }
      if f.type.level != 0 { countTable(mfn, f.type.level, &refs, &types, &linear, &problems) }
    }
    for mfn in held { use(mfn, .writable, "the hypervisor") }
    for v in domain?.vcpus ?? [] {
      if v.kernelTable != 0 { use(v.kernelTable, .l4, "kernel base of vCPU \(v.id)") }
      if v.userTable != 0 { use(v.userTable, .l4, "user base of vCPU \(v.id)") }
      for mfn in v.gdtFrames { use(mfn, .descriptors, "GDT of vCPU \(v.id)") }
      let held = ldtFrames.indices.contains(v.id) ? ldtFrames[v.id] : []
      for mfn in held where mfn != 0 { use(mfn - 1, .descriptors, "LDT of vCPU \(v.id)") }
    }
    for n in 0..<total {
      let f = info[n]
      if f.typeCount != types[n] { problems.append("frame \(n) (\(f.type)): \(f.typeCount) type uses noted, \(types[n]) found") }
      if f.refCount != refs[n] { problems.append("frame \(n) (\(f.type)): \(f.refCount) references noted, \(refs[n]) found") }
      if f.linear != linear[n] { problems.append("frame \(n): linear count \(f.linear), \(linear[n]) found") }
      if f.typeCount == 0 && f.flags & (FrameInfo.validated | FrameInfo.pinned | FrameInfo.typeMask) != 0 {
        problems.append("frame \(n) is unused but has a type")
      }
      if f.flags & FrameInfo.released != 0 && f.refCount == 0 { problems.append("frame \(n) was released but is not free") }
    }
    if state.pointee.flushNeeded { problems.append("stale translations left behind") }
    return problems
  }

  private func countTable(
    _ mfn: UInt64, _ level: Int, _ refs: inout [UInt32], _ types: inout [UInt32], _ linear: inout [Int32],
    _ problems: inout [String]
  ) {
    let e = entries(mfn)
    for slot in 0..<512 where !(level == 4 && Self.xenSlots.contains(slot)) {
      let entry = e[slot]
      if entry & Self.present == 0 { continue }
      let target = frame(entry)
      let disallowed = level == 1 ? Self.l1Disallowed : Self.upperDisallowed
      if entry & disallowed != 0 || entry & Self.userBit == 0 { problems.append("L\(level) \(mfn)[\(slot)] has refused bits") }
      guard target < frameCount, frames.belongsToGuest(target) else {
        problems.append("L\(level) \(mfn)[\(slot)] names frame \(target), which is not the guest's")
        continue
      }
      let t = info[Int(target)]
      if level > 1 && target == mfn {
        if entry & Self.writableBit != 0 { problems.append("L\(level) \(mfn)[\(slot)] maps itself writable") }
        continue
      }
      refs[Int(target)] += 1
      if level == 1 {
        if entry & Self.writableBit == 0 { continue }
        types[Int(target)] += 1
        if t.type != .writable { problems.append("L1 \(mfn)[\(slot)] maps frame \(target) (\(t.type)) writable") }
        continue
      }
      types[Int(target)] += 1
      if t.type.level == level {
        linear[Int(mfn)] += 1
        linear[Int(target)] -= 1
        if entry & Self.writableBit != 0 { problems.append("L\(level) \(mfn)[\(slot)]: writable linear entry") }
      } else if t.type.level != level - 1 {
        problems.append("L\(level) \(mfn)[\(slot)] points at frame \(target), which is \(t.type)")
      }
    }
  }
}
