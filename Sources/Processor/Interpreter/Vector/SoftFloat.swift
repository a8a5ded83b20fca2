/// Kernels for hosts whose instructions are not the guest's.
func softKernel(_ name: String) -> Kernel { { _, _, _, _, _ in fatalError("no soft-float yet") } }
func softCompare(_ type: UInt32, _ predicate: UInt32) -> Kernel { softKernel("") }
func softRound(_ type: UInt32, _ control: UInt32) -> Kernel { softKernel("") }
func softDot(_ type: UInt32, _ factors: UInt32) -> Kernel { softKernel("") }
func softHalf(_ control: UInt32) -> Kernel { softKernel("") }
