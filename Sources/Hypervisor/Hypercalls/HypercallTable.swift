/// What hypercalls, their sub-operations and arguments are called, for reports and traces (Xen's public headers).
public enum HypercallTable {
  /// Numbers 0...63, and one counter for all others.
  static let counters = 65

  // number name(arguments): sub-operations by the first argument
  private static let text = """
    0 set_trap_table(table)
    1 mmu_update(requests, count, done, domain)
    2 set_gdt(frames, entries)
    3 stack_switch(ss, sp)
    4 set_callbacks(event, failsafe, syscall)
    5 fpu_taskswitch(set)
    6 sched_op_compat(op, arg)
    7 platform_op(op)
    8 set_debugreg(register, value)
    9 get_debugreg(register)
    10 update_descriptor(address, descriptor)
    12 memory_op(op, arg): increase_reservation decrease_reservation maximum_ram_page current_reservation maximum_reservation machphys_mfn_list populate_physmap add_to_physmap - memory_map machine_memory_map exchange machphys_mapping set_memory_map maximum_gpfn remove_from_physmap
    13 multicall(entries, count)
    14 update_va_mapping(address, entry, flags)
    15 set_timer_op(timeout)
    16 event_channel_op_compat(op)
    17 xen_version(op, arg): version extraversion compile_info capabilities changeset platform_parameters get_features pagesize guest_handle commandline build_id
    18 console_io(op, count, buffer): write read
    19 physdev_op_compat(op)
    20 grant_table_op(op, array, count): map_grant_ref unmap_grant_ref setup_table dump_table transfer copy query_size unmap_and_replace set_version get_status_frames get_version swap_grant_ref cache_flush
    21 vm_assist(cmd, type): enable disable
    22 update_va_mapping_otherdomain(address, entry, flags, domain)
    23 iret()
    24 vcpu_op(op, vcpu, arg): initialise up down is_up get_runstate_info register_runstate_memory_area set_periodic_timer stop_periodic_timer set_singleshot_timer stop_singleshot_timer register_vcpu_info send_nmi get_physid register_vcpu_time_memory_area
    25 set_segment_base(which, base): fs gs_user gs_kernel gs_user_sel
    26 mmuext_op(operations, count, done, domain)
    27 xsm_op(op)
    28 nmi_op(op, arg): register_callback unregister_callback
    29 sched_op(op, arg): yield block shutdown poll remote_shutdown shutdown_code watchdog pin_override
    30 callback_op(op, arg): register unregister
    31 xenoprof_op(op, arg)
    32 event_channel_op(op, arg): bind_interdomain bind_virq bind_pirq close send status alloc_unbound bind_ipi bind_vcpu unmask reset init_control expand_array set_priority
    33 physdev_op(op, arg): - - - - - irq_status_query set_iopl set_iobitmap
    34 hvm_op(op, arg)
    35 sysctl(op)
    36 domctl(op)
    37 kexec_op(op, arg)
    38 tmem_op(op)
    39 argo_op(op)
    40 xenpmu_op(op, arg)
    41 dm_op(domain, count, buffers)
    42 hypfs_op(op)
    48 mca(op)
    """

  private struct Row {
    var name = ""
    var arguments: [String] = []
    var operations: [String] = []
  }

  private static let rows: [Row] = {
    var rows = [Row](repeating: Row(), count: 64)
    for line in text.split(separator: "\n") {
      let halves = line.split(separator: ":", maxSplits: 1)
      let head = halves[0].split(separator: "(", maxSplits: 1)
      let words = head[0].split(separator: " ")
      guard words.count == 2, head.count == 2, let number = Int(words[0]), number < 64 else { continue }
      rows[number].name = String(words[1])
      rows[number].arguments = head[1].dropLast().split(separator: ",").map { String($0.drop { $0 == " " }) }
      if halves.count == 2 { rows[number].operations = halves[1].split(separator: " ").map(String.init) }
    }
    return rows
  }()

  /// A hypercall's name; "hypercall_N" for a number without one.
  public static func name(_ number: UInt64) -> String {
    guard number < 64, !rows[Int(number)].name.isEmpty else { return "hypercall_\(number)" }
    return rows[Int(number)].name
  }

  /// Names of its arguments, in order.
  public static func argumentNames(_ number: UInt64) -> [String] { number < 64 ? rows[Int(number)].arguments : [] }

  /// The name of the sub-operation that the first argument chooses, if it has one.
  public static func operationName(_ number: UInt64, _ operation: UInt64) -> String? {
    guard number < 64, operation < UInt64(rows[Int(number)].operations.count) else { return nil }
    let name = rows[Int(number)].operations[Int(operation)]
    return name == "-" ? nil : name
  }

  /// A call as a line of a trace: "event_channel_op.send(arg = 0x1000)".
  public static func describe(_ number: UInt64, _ a: HypercallArguments) -> String {
    let values = [a.a0, a.a1, a.a2, a.a3, a.a4, a.a5]
    let names = argumentNames(number)
    var result = name(number)
    var first = 0
    if let operation = operationName(number, a.a0) {
      result += "." + operation
      first = 1
    }
    var parts: [String] = []
    for index in first..<max(first, min(names.count, 6)) { parts.append("\(names[index]) = \(hexadecimal(values[index]))") }
    return result + "(" + parts.joined(separator: ", ") + ")"
  }
}

extension Domain {
  /// How often each hypercall was made, by number; those never made are left out. Numbers of 64 and more count as 64.
  public var hypercallCounts: [(name: String, count: UInt64)] {
    var result: [(name: String, count: UInt64)] = []
    for number in 0..<HypercallTable.counters where hypercallCounters[number] != 0 {
      result.append((number == 64 ? "unknown" : HypercallTable.name(UInt64(number)), hypercallCounters[number]))
    }
    return result
  }
}
