"""What a deferral is: geometry, structures, experts, routing, regions and cases; numpy and SimpleITK alone."""
